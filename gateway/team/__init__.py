"""People, keys, tokens and deployments as a team works on them: each operation once, for page, API and command line."""
