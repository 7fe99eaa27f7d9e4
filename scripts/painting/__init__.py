"""How soon the team's pages are seen: `make first-paint`."""
