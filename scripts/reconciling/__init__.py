"""What `scripts/reconcile.py` is made of: what is asked, where, and both sides' sums."""
