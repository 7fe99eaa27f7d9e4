"""How people come in: with a password, by a link; and what each sees of their own sessions."""
