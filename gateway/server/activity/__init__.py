"""What the gateway carries now, in all of its processes: seen, and broken off where somebody says so."""
