"""What the commands of this folder do alike: how they end, how many files they may open, what they say meanwhile."""
