"""`gguf-gateway`, which is also `python -m gateway`."""

import signal


def main() -> None:
    """Run the command line. A Ctrl-C while Python still imports, or ends, kills it quietly: no traceback."""
    _let_ctrl_c_kill()
    from gateway.cli import main as command

    try:
        command(prog_name="gguf-gateway")
    finally:
        _let_ctrl_c_kill()


def _let_ctrl_c_kill() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as for a shell's `&`
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
