"""The control URL of the sandbox: its states, by HTTP requests from any language."""
