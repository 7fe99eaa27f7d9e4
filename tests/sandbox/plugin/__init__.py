"""The pytest plugin, as other projects meet it."""
