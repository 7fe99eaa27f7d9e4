"""How people come in: with a password, by a link, by OpenID Connect; and what each sees of their own sessions."""
