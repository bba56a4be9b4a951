"""Where `locctl` begins: signals first, for all that is loaded after takes its time."""

import os

from cli import signals


def main() -> None:
    """Run the command line."""
    signals.exit_at_once()
    from cli.main import locctl

    try:
        locctl()
    except SystemExit as end:
        if end.code in signals.STOPPED:
            # To end in peace could take long: threads wait for the database, a pipe for its reader.
            os._exit(end.code)
        raise
    finally:
        signals.ignore()
