"""What the tools have in common: how they end, what they open, on which loop they run, what they say meanwhile."""
