"""`make fuzz`: a million bodies at the parser, and shares at the application and a real server."""

import argparse
import asyncio
import logging
import secrets
import sys
import tempfile
from pathlib import Path

from locapi import embedded, mongo
from locapi.app import create_app
from locapi.server import Server
from locapi.settings import Settings
from tests.fuzz import throw
from tests.fuzz.contract import check
from tests.fuzz.serving import serving


def main() -> None:
    """Throw all, and print what came of each share."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--seed", type=int, default=secrets.randbits(32))
    options.add_argument("--bodies", type=int, default=1_000_000)
    options.add_argument("--application", type=int, default=25_000)
    options.add_argument("--requests", type=int, default=6_000)
    options.add_argument("--examples", type=int, default=500, help="of schemathesis, each way")
    asked = options.parse_args()
    logging.disable(logging.WARNING)  # that a request was refused is no news here
    say("seed", asked.seed)
    say("bodies at the parser", throw.at_parser(asked.seed, asked.bodies))
    # Short: a socket's path may not be long.
    with tempfile.TemporaryDirectory(prefix="locapi-") as scratch:
        with embedded.mongod(Path(scratch) / "mongod") as uri:
            with mongo.open_database(Settings(mongodb_uri=uri)) as database:
                serve = Server(create_app(database=database))
                come = throw.at_application(serve, asked.seed, asked.application)
                say("bodies at the application", asyncio.run(come))
            with serving(uri, Path(scratch) / "serve.log") as url:
                come = throw.at_socket(url, asked.seed, asked.requests)
                say("requests at a socket", asyncio.run(come))
                for mode in ("positive", "negative"):
                    said = check(url, Path(scratch), mode, asked.examples, asked.seed)
                    say(f"schemathesis, {mode}", said)


def say(name: str, value: object) -> None:
    """Print a line of the report at once."""
    sys.stdout.write(f"{name}: {value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
