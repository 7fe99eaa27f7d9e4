"""The pages about deployments: all of them at a glance, and one of them with its settings."""
