"""What is done with the use that requests make of the gateway, beside keys and deployments."""
