"""The parts of `make drift`: requests that are made, played against two servers, compared, and put down by cause."""
