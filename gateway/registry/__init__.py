"""Where accounts, keys and deployments are looked up: one YAML file, or a database."""
