"""Replay tracks against a running API and print what became of the fixes.

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

from simulation.options import integer
from simulation.replay import Api, BadAddress, replay
from simulation.report import Tally
from simulation.tracks import UnreadableTrack, read_track

DATA = Path(__file__).resolve().parent / "data"
MAX_FAILED = 5  # in a row, before the replay gives up


class Misuse(click.ClickException):
    """The command line or the environment cannot be used."""

    exit_code = 2


@click.command(epilog="API_HOST in the environment is the API's address.")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--connections",
    type=integer(1, 1024),
    default=32,
    show_default=True,
    help="Send this many requests at a time, 1 to 1024.",
)
@click.option(
    "--batch",
    type=integer(1, 1000),
    help="Send this many fixes in a request, 1 to 1000, to POST /locations.",
)
def main(files: tuple[Path, ...], connections: int, batch: int | None) -> None:
    """Send every fix in the FILEs, CSV or NDJSON and either gzipped, to PUT /location.

    Without FILEs, all sample tracks. A user's fixes are sent in order, users in parallel.
    Exits 0 if the API responded 200 or 400 to every fix, 1 if not.
    """
    address = os.environ.get("API_HOST") or "http://localhost:5000"
    tracks = files or tuple(sorted(DATA.glob("[!.]*")))
    try:
        api = Api(address, connections)
        total = sum(1 for path in tracks for _ in read_track(path))
        if not api.is_there():
            raise click.ClickException(
                f"no API answers at {address}; start one with `locctl serve`, or set API_HOST."
            )
        tally = run(api, tracks, total, connections, batch)
    except (BadAddress, UnreadableTrack) as error:
        raise Misuse(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    raise SystemExit(1 if tally.failed else 0)


def run(
    api: Api, tracks: tuple[Path, ...], total: int, connections: int, batch: int | None = None
) -> Tally:
    """Replay the tracks, and print the report even if interrupted."""
    send = api.post if batch else lambda rows: map(api.put, rows)
    tally = Tally()
    rows = chain.from_iterable(map(read_track, tracks))
    label = f"Replaying {total:,} fix{'es' if total != 1 else ''}"
    steps = max(1, total // 200)
    try:
        with (
            closing(replay(rows, send, connections, batch or 1)) as answers,
            click.progressbar(
                answers, total, label, show_pos=True, file=sys.stderr, update_min_steps=steps
            ) as bar,
        ):
            for answer in bar:
                tally.add(answer)
                if tally.failed_in_a_row == MAX_FAILED:
                    break
    finally:
        report(tally)
    return tally


def report(tally: Tally) -> None:
    """Print the first rows that were not accepted to stderr, and the table to stdout."""
    if tally.examples:
        click.echo("The first rows that were not accepted:", err=True)
    for example in tally.examples:
        click.echo(example, err=True)
    if tally.failed_in_a_row == MAX_FAILED:
        click.echo(
            f"Given up after {MAX_FAILED} failures in a row: see above, and the API's log.",
            err=True,
        )
    click.echo(tally.table())


if __name__ == "__main__":
    main()
