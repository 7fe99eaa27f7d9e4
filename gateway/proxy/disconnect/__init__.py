"""How a client that has gone is noticed while nothing is read from it."""
