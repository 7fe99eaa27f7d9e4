"""What operations take and give: the models that validate requests, and that the OpenAPI description is made from."""
