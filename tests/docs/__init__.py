"""That the documents are true: their links, tables, settings, commands, sessions and examples."""
