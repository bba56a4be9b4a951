"""Play a phone with OwnTracks that was offline: it sends what it kept, and then a fix a second.

Run it as `API_HOST=http://localhost:5000 python simulation/phone.py`; Ctrl-C ends it.
"""

import base64
import json
import math
import os
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click

KEPT = timedelta(minutes=30)
KEPT_EVERY = timedelta(seconds=5)
LAT, LONG = 5.56, -0.19  # Accra
RADIUS = 0.012  # degrees; once around takes an hour
SPEED = 2 * math.pi * RADIUS * 111  # kilometres an hour


@click.command(epilog="API_HOST in the environment is the API's address.")
@click.option("--user", default="phone", show_default=True, help="User who sends.")
@click.option("--token", help="Token of the user; required if the API runs with LOCAPI_AUTH=token.")
@click.option("--seconds", default=600, show_default=True, help="Time to send one fix a second.")
def main(user: str, token: str | None, seconds: int) -> None:
    """Walk around Accra, and send each position to POST /owntracks in the order it was taken."""
    url = (os.environ.get("API_HOST") or "http://localhost:5000") + "/owntracks"
    password = base64.b64encode(f"{user}:{token}".encode()).decode()
    headers = {"X-Limit-U": user} | ({"Authorization": f"Basic {password}"} if token else {})
    sent = 0
    try:
        for time_taken in _times(seconds):
            body = json.dumps(_message(time_taken)).encode()
            request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310  ours
            with urllib.request.urlopen(request, timeout=30):  # noqa: S310  ours
                sent += 1
            if sent == KEPT // KEPT_EVERY:
                click.echo(f"Sent the {sent} fixes that were kept while offline.")
                click.echo("Sending a fix every second. Press Ctrl-C to stop.")
    except OSError as error:
        reason = str(error).removeprefix("<urlopen error ").removesuffix(">")
        raise click.ClickException(f"cannot send to {url}: {reason}") from error
    except KeyboardInterrupt:
        click.echo(f"\nStopped after {sent} fixes.")


def _times(seconds: int) -> Iterator[datetime]:
    """Yield when fixes are taken: those of the half hour before, and then one each second."""
    start = datetime.now(UTC).replace(microsecond=0)
    for number in range(KEPT // KEPT_EVERY):
        yield start - KEPT + number * KEPT_EVERY
    for number in range(seconds):
        due = start + timedelta(seconds=number)
        time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        yield due


def _message(time_taken: datetime) -> dict[str, object]:
    angle = 2 * math.pi * (time_taken.timestamp() % 3600) / 3600
    return {
        "_type": "location",
        "tst": int(time_taken.timestamp()),
        "lat": round(LAT + RADIUS * math.sin(angle), 6),
        "lon": round(LONG + RADIUS * math.cos(angle), 6),
        "acc": 8,
        "vel": round(SPEED),
        "tid": "ph",
    }


if __name__ == "__main__":
    main()
