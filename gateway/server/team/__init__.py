"""What the server knows of the team: its database, the browser's session, and when keys were used."""
