"""The configuration file: its settings as models, the rules between them, and what is said of mistakes."""
