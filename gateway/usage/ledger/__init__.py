"""The ledger: every exchange that ends is added up in memory, and written to the database once a second."""
