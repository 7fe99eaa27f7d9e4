"""`mock-llama-server`, which is also `python -m mockserver`."""

import signal


def main() -> None:
    """Run the command line. Until it listens to signals, a Ctrl-C kills it quietly: there is nothing to tidy up."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as for a shell's `&`
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mockserver.cli.main import main as command
    from mockserver.cli.standard_streams import redirect

    redirect()
    command()


if __name__ == "__main__":
    main()
