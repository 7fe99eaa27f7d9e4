"""The HTTP server: both ways in for a request, and the decision whether it is admitted."""
