"""How people sign in: with a password, by an invitation or a link, by OpenID Connect; and their sessions."""
