"""The start of `locctl`: handle signals before anything that takes long to import."""

import os

from locctl import signals


def main() -> None:
    """Run the command line."""
    signals.install()
    try:
        from locctl.main import locctl

        locctl()
    except KeyboardInterrupt:
        signals.say_interrupted()
        os._exit(signals.INTERRUPTED)
    except SystemExit as end:
        if end.code in (signals.INTERRUPTED, signals.TERMINATED):
            # A normal exit would wait for threads that wait for the database.
            os._exit(end.code)
        raise
    finally:
        signals.ignore()
