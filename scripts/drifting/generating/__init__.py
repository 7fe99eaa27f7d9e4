"""Requests out of a seed: well formed ones, ones with one thing wrong, and what is no JSON or no HTTP at all."""
