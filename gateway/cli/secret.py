"""Secrets come from standard input and never from an argument: everyone can see arguments."""

import sys

import click

from gateway.registry.base import ChangeError


def read_secret(what: str) -> str:
    """One line of standard input; asked for without an echo on a terminal. Raises ChangeError if there is none."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, err=True))
    line = sys.stdin.buffer.readline(65_536).rstrip(b"\r\n")
    if not line:
        raise ChangeError(f"{what}: standard input is empty.")
    return line.decode("utf-8", "surrogateescape")
