"""The sandbox's own parts."""
