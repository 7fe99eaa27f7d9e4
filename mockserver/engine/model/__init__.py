"""The pretended model: its tokens, its texts, its grammar, its vectors."""
