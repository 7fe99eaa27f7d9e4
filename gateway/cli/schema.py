"""`gguf-gateway schema`: what editors complete the configuration file from."""

import click

from gateway.cli.output import print_json
from gateway.config.settings import json_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    print_json(json_schema())
