"""The parameters of a request: the table of fields, how each is read, and what an answer shows of them."""
