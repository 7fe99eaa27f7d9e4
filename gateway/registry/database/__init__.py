"""The registry that is a database: its tables, who reads and who changes them, and its migrations."""
