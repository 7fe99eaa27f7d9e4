"""`gguf-gateway hash-key`: what a configuration file holds in place of a key."""

import click

from gateway.cli.output import as_json, print_json, say
from gateway.cli.secret import read_secret
from gateway.config.setting_types import check_key_text
from gateway.core.account import new_key_text
from gateway.core.secret_text import digest_of
from gateway.registry.base import ChangeError


@click.command("hash-key")
@click.option("--new", is_flag=True, help="Make a new key, and print it as well, only this time.")
@as_json
def hash_key(new: bool, as_json: bool) -> None:
    """Read a key from standard input and print its `key_sha256`."""
    key = new_key_text() if new else read_secret("Key")
    try:
        check_key_text(key)
    except ValueError as error:
        raise ChangeError(f"Not a valid key: {error}.") from error
    digest = digest_of(key).hex()
    if as_json:
        print_json({"key": key, "key_sha256": digest} if new else {"key_sha256": digest})
        return
    if new:
        click.echo(f"The key, which is not shown again: {key}", err=True)
    say(digest)
