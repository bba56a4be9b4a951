"""The start of `locctl`: handle signals before anything that takes long to import."""

import os
import sys

from locctl import signals

# How a stream that is closed is opened: as empty, as one that fails, and as one that discards.
_CLOSED = {"stdin": (os.O_RDONLY, "r"), "stdout": (os.O_RDONLY, "w"), "stderr": (os.O_WRONLY, "w")}


def main() -> None:
    """Run the command line and exit."""
    _open_closed_streams()
    signals.install()
    try:
        code = _run()
    finally:
        signals.ignore()
    # All is written and closed. A normal exit would wait half a second for threads of the
    # database's driver, or longer for those that wait for the database.
    os._exit(code)


def _run() -> int:
    try:
        from locctl.main import locctl

        locctl()
    except KeyboardInterrupt:
        signals.say_interrupted()
        return signals.INTERRUPTED
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _open_closed_streams() -> None:
    """Open the standard streams that are closed, or the next files would take their numbers."""
    for name, (flags, mode) in _CLOSED.items():
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode, encoding="utf-8"))
