"""What goes wrong while a real llama-server is brought here."""


class BuildError(Exception):
    """It cannot be built or downloaded; the message is one sentence for a terminal."""
