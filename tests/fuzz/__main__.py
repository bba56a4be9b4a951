"""Run `make fuzz`: send a million bodies to the parser, fewer to the application and a server."""

import argparse
import asyncio
import logging
import secrets
import sys
import tempfile
from pathlib import Path

from locapi.api.app import create_app
from locapi.settings import Settings
from locapi.storage import embedded, mongo
from tests.fuzz import throw
from tests.fuzz.contract import check
from tests.fuzz.serving import serving


def main() -> None:
    """Run all parts, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--bodies", type=int, default=1_000_000)
    parser.add_argument("--application", type=int, default=25_000)
    parser.add_argument("--requests", type=int, default=6_000)
    parser.add_argument("--examples", type=int, default=500, help="for schemathesis, in each mode")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    report("seed", options.seed)
    report("bodies to the parser", throw.at_parser(options.seed, options.bodies))
    # The path of a socket has to be short.
    with tempfile.TemporaryDirectory(prefix="locapi-") as name:
        scratch = Path(name)
        with embedded.mongod(scratch / "mongod") as uri:
            with mongo.open_database(Settings(mongodb_uri=uri)) as database:
                app = create_app(database=database)
                sent = throw.at_application(app, options.seed, options.application)
                report("bodies to the application", sent)
            with serving(uri, scratch) as url:
                requests = throw.at_socket(url, options.seed, options.requests)
                report("requests to a server", asyncio.run(requests))
                for mode in ("positive", "negative"):
                    last_line = check(url, scratch, mode, options.examples, options.seed)
                    report(f"schemathesis, {mode}", last_line)


def report(part: str, result: object) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{part}: {result}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
