"""`gguf-gateway serve`, with the timers that run beside requests slowed as callgrind slows everything else.

Otherwise they would have fifty times their share: each request would be a batch of the log by itself.
"""

SLOWDOWN = 50


def main() -> None:
    """Serve as the command line says."""
    from gateway.registry import reloading
    from gateway.telemetry import logs
    from gateway.usage.ledger import ledger

    reloading.INTERVAL *= SLOWDOWN
    logs._BATCH_SECONDS *= SLOWDOWN
    ledger._SECONDS *= SLOWDOWN
    from gateway.__main__ import main as serve

    serve()


if __name__ == "__main__":
    main()
