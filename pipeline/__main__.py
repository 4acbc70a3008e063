"""Starts the command line: `photodrag`, or `python -m pipeline`."""

import signal
import sys


def main() -> int:
    """Load the command line, run one command and return the exit code.

    PyTorch takes seconds to load. Until then an interrupt ends the process as the system does, at
    once and without a word; the exit code is 130 in a shell, as later.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pipeline import cli

    signal.signal(signal.SIGINT, before)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
