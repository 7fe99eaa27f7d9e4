"""What every part of the mock uses: time, errors, JSON, ports, options. Nothing here knows an endpoint."""
