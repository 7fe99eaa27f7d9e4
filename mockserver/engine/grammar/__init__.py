"""What constrains an answer: JSON schemas, the grammars they become, grammars as such, and texts that fit them."""
