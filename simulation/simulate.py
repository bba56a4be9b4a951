"""Replay tracks against a running API and say what came of it.

Run it as `API_HOST=http://localhost:5000 python simulation/simulate.py [FILE...]`.
"""

import os
import sys
from contextlib import closing
from itertools import chain
from pathlib import Path

import click

if not __package__:  # run as a script: imports start at the checkout, as with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from simulation.replay import Api, BadAddress, replay
from simulation.report import Tally
from simulation.tracks import UnreadableTrack, read_track

DATA = Path(__file__).resolve().parent / "data"
PATIENCE = 5  # fixes in a row that failed for good, before the API is given up


class Misuse(click.ClickException):
    """The command was given something it cannot use."""

    exit_code = 2


@click.command(epilog="API_HOST in the environment is the API's address.")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--connections", default=32, show_default=True, type=click.IntRange(1, 1024))
def main(files: tuple[Path, ...], connections: int) -> None:
    """Send every fix in the FILEs, CSV or NDJSON and either gzipped, to PUT /location.

    Without FILEs, all sample tracks. A user's fixes are sent in order, users in parallel.
    Exits 0 if every fix was answered 200 or 400, 1 if not.
    """
    address = os.environ.get("API_HOST") or "http://localhost:5000"
    tracks = files or tuple(sorted(DATA.glob("[!.]*")))
    try:
        api = Api(address, connections)
        total = sum(1 for path in tracks for _ in read_track(path))  # unreadable? nothing is sent
        if not api.is_there():
            raise click.ClickException(
                f"no API answers at {address}; start one with `locctl serve`, or set API_HOST."
            )
        tally = run(api, tracks, total, connections)
    except (BadAddress, UnreadableTrack) as error:
        raise Misuse(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    raise SystemExit(1 if tally.failed else 0)


def run(api: Api, tracks: tuple[Path, ...], total: int, connections: int) -> Tally:
    """Replay the tracks and report, also when interrupted."""
    tally = Tally()
    rows = chain.from_iterable(map(read_track, tracks))
    label = f"Replaying {total:,} fixes"
    steps = max(1, total // 200)
    try:
        with (
            closing(replay(rows, api.put, connections)) as answers,
            click.progressbar(
                answers, total, label, show_pos=True, file=sys.stderr, update_min_steps=steps
            ) as bar,
        ):
            for answer in bar:
                tally.add(answer)
                if tally.failed_in_a_row == PATIENCE:
                    break
    finally:
        report(tally)
    return tally


def report(tally: Tally) -> None:
    """Tell the first rows that were not taken on standard error, the table on standard output."""
    for example in tally.examples:
        click.echo(example, err=True)
    if tally.failed_in_a_row == PATIENCE:
        click.echo(f"Given up after {PATIENCE} failures in a row; see the API's log.", err=True)
    click.echo(tally.table())


if __name__ == "__main__":
    main()
