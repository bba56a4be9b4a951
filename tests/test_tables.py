"""Minutes in a notebook, by `from locapi import minutes`."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pymongo.database import Database

import locapi
from locapi import export
from locapi.errors import DatabaseUnavailable, Misconfigured
from locapi.mongo import Document
from locapi.rollup import roll_up
from tests.conftest import Send

Read = Callable[..., pa.Table]


@pytest.fixture
def minutes(db: Database[Document], mongodb_uri: str, monkeypatch: pytest.MonkeyPatch) -> Read:
    monkeypatch.setenv("LOCAPI_DATABASE", db.name)
    monkeypatch.delenv("MONGODB_URI", raising=False)

    def read(uri: str | None = mongodb_uri, **arguments: Any) -> pa.Table:
        return locapi.minutes(uri, **arguments)

    return read


def sent(db: Database[Document], send: Send) -> None:
    for time in ("13:05:12", "13:05:15", "13:06:00"):
        send(f"2017-01-01 {time}")
    send("2017-01-01 14:00:00", user_id="b")
    roll_up(db)


def test_minutes_are_an_arrow_table(db: Database[Document], send: Send, minutes: Read) -> None:
    sent(db, send)
    assert minutes(user="a1").to_pylist() == [
        {
            "user_id": "a1",
            "minute": datetime(2017, 1, 1, 18, minute, tzinfo=UTC),
            "lat": 40.7,
            "long": -74.0,
            "accuracy": 5.0,
            "speed": 1.5,
            "count": count,
        }
        for minute, count in ((5, 2), (6, 1))
    ]


def test_a_notebook_gets_a_frame(db: Database[Document], send: Send, minutes: Read) -> None:
    sent(db, send)
    frame = minutes(resolution="1h", local_time=True).to_pandas()
    assert frame.set_index("minute")["count"].to_dict() == {
        datetime(2017, 1, 1, 18, tzinfo=UTC): 3,
        datetime(2017, 1, 1, 19, tzinfo=UTC): 1,
    }
    assert frame["local_time"].tolist() == [datetime(2017, 1, 1, 13), datetime(2017, 1, 1, 14)]


@pytest.mark.parametrize(
    ("since", "until", "count"),
    [
        (datetime(2017, 1, 1, 18, 6), None, 2),
        (datetime(2017, 1, 1, 13, 6, tzinfo=timezone(timedelta(hours=-5))), None, 2),
        ("2017-01-01T18:06", "2017-01-01T19:00:00Z", 1),
        ("2017-01-02", None, 0),
        (None, "2017-01-01T13:06:00-05:00", 1),
    ],
)
def test_times_without_a_zone_are_utc(
    db: Database[Document],
    send: Send,
    minutes: Read,
    monkeypatch: pytest.MonkeyPatch,
    since: Any,
    until: Any,
    count: int,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    sent(db, send)
    assert len(minutes(since=since, until=until)) == count


def test_pages_make_one_table(
    db: Database[Document], send: Send, minutes: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(db, send)
    whole = minutes()
    monkeypatch.setattr(export, "_PAGE", 1)
    parted = minutes()
    assert parted.equals(whole)
    assert (whole["minute"].num_chunks, parted["minute"].num_chunks) == (1, 3)


def test_without_a_uri_the_settings_say_where(minutes: Read, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MONGODB_URI", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100")
        with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:1"):
            minutes(None)
        patch.delenv("MONGODB_URI")
        patch.setenv("LOCAPI_DATA_DIR", str(tmp_path))
        assert len(minutes(None)) == 0


@pytest.mark.parametrize(
    "arguments", [{"resolution": "7m"}, {"since": "yesterday"}, {"until": "2017-13-01"}]
)
def test_an_argument_that_cannot_be_read_is_told(minutes: Read, arguments: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"'.*' .*; write "):
        minutes(**arguments)


def test_importing_locapi_loads_nothing_heavy() -> None:
    loaded = "import locapi, sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert {"pyarrow", "pymongo", "timezonefinder", "numpy"}.isdisjoint(done.stdout.split())


def test_without_pyarrow_the_extra_is_named(minutes: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "locapi.tables", raising=False)
    with pytest.raises(Misconfigured, match=r"pip install 'locapi\[export\]'"):
        minutes()
