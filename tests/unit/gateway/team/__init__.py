"""The team's operations, its admin API, and what keys are limited to."""
