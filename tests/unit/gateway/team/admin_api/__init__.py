"""The admin API over real sockets: who may do what, what it makes of bad requests, and what it says of itself."""
