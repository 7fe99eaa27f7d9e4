"""Sign-in by OpenID Connect: the authorization code flow with PKCE. Knows nothing of our HTTP server."""
