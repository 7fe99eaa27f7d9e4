"""The ledger of who used how much: what is summed, what is written, and what it costs."""
