"""The parts of `make conformance`: where the suite comes from, how it is run, what is known of its tests."""
