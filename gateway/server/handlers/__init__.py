"""What answers at each route."""
