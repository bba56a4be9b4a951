"""Start the API, replay the sample tracks, roll up, export, print minutes, and clean up.

It uses HTTP and `locctl` only, as any user of locapi would.
"""

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCCTL = Path(sys.executable).with_name("locctl")
START_S = 60
STOP_S = 15
SHOWN = 10


def main() -> None:
    """Run the demonstration in a fresh scratch directory and leave only the export there."""
    scratch = Path(tempfile.mkdtemp(prefix="locapi-"))
    data = scratch / "database"
    env = {name: value for name, value in os.environ.items() if name != "MONGODB_URI"}
    env["LOCAPI_DATA_DIR"] = str(data)
    try:
        with _serving(env, scratch / "serve.log") as host:
            _replay_and_export({**env, "API_HOST": host}, scratch / "minutes.csv")
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def _serving(env: Mapping[str, str], log: Path) -> Iterator[str]:
    """Yield the base URL of a running API, and stop it at the end."""
    port = _free_port()
    _say(f"starting the API on http://127.0.0.1:{port} (its log: {log})")
    with log.open("w") as out:
        serve = subprocess.Popen(
            [LOCCTL, "serve", "--port", str(port)],
            env=env,
            stdout=out,
            stderr=out,
            start_new_session=True,  # so that Ctrl-C reaches only this process, which then stops it
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", serve, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        _stop(serve)


def _stop(serve: subprocess.Popen[bytes]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave it running
    serve.terminate()
    try:
        serve.wait(STOP_S)
    except subprocess.TimeoutExpired:
        serve.kill()
        serve.wait()


def _wait_for(url: str, serve: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and serve.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310  our own URL, on loopback
                return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"the API did not start; the end of {log}:\n{log.read_text()[-2000:]}")


def _replay_and_export(env: Mapping[str, str], export: Path) -> None:
    _say("replaying the sample tracks; dirt.ndjson has invalid rows on purpose, which get 400")
    _run(env, sys.executable, HERE / "simulate.py")
    _run(env, LOCCTL, "rollup")
    _run(env, LOCCTL, "export", "--output", export)
    with export.open(newline="") as lines:
        total = sum(1 for _ in lines) - 1
    _say(f"\nThe first {min(SHOWN, total)} of {total:,} minutes:\n")
    print(_table(export))
    _say(f"\nAll of them: {export}")


def _run(env: Mapping[str, str], *command: str | Path) -> None:
    if code := subprocess.run(command, env=env, check=False).returncode:
        sys.exit(code)


def _table(export: Path) -> str:
    with export.open(newline="") as lines:
        header, *rows = islice(csv.reader(lines), SHOWN + 1)
    shown = [header, *([_shortened(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    )


def _shortened(cell: str) -> str:
    try:
        return cell if cell.isdigit() else f"{float(cell):.6f}"
    except ValueError:
        return cell


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
