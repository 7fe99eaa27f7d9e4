"""The way in for plain requests: recognised and begun in the call that received them, beside aiohttp."""
