"""Gateways in processes of their own: started, looked at from outside, and what must hold of them."""
