"""Clients in use, the SDKs of OpenAI and Anthropic first, through a gateway."""
