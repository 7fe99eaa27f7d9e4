"""The pages of the gateway."""
