"""`mock-llama-server`, which is also `python -m mockserver`."""

import signal


def main() -> None:
    """Run the command line. A Ctrl-C while Python still imports it kills it quietly: no traceback."""
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else ignored, as for a shell's `&`
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mockserver.cli import main as command

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command()


if __name__ == "__main__":
    main()
