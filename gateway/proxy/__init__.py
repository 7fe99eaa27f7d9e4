"""One exchange: what goes up from a client's socket to an upstream's, and what comes down."""
