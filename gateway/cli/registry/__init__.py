"""The commands on a registry: its accounts, keys and deployments, listed and changed."""
