"""The page of usage: who used how much over time, as charts and as tables; and the same for download."""
