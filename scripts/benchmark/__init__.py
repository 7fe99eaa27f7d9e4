"""The parts of `make bench`: what is driven, what drives it, what is measured, what is written."""
