"""Answers that an upstream gives while its model is loading."""

LOADING = (
    b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}',
    b'{"status":"loading model"}',
)
