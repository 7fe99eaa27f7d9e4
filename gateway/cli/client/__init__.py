"""The three ways by which a command reaches the team's operations: a file, a database, a gateway that runs."""
