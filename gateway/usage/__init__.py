"""Who uses what: the ledger of tokens and requests, and the limits on them."""
