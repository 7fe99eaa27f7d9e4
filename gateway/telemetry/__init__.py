"""What the operator sees of the requests: the log, and the numbers behind `/metrics`."""
