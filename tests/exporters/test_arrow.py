"""`locapi.minutes` for notebooks."""

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
from locapi.errors import DatabaseUnavailable, Misconfigured
from locapi.exporters import query
from locapi.rollup.fold import fold_new_fixes
from locapi.storage.documents import Document
from tests.conftest import Send

Read = Callable[..., pa.Table]


@pytest.fixture
def minutes(
    db: Database[Document], mongodb_uri: str, send: Send, monkeypatch: pytest.MonkeyPatch
) -> Read:
    """Read from a database with three minutes of two users."""
    monkeypatch.setenv("LOCAPI_DATABASE", db.name)
    monkeypatch.delenv("MONGODB_URI", raising=False)
    for time in ("13:05:12", "13:05:15", "13:06:00"):
        send(f"2017-01-01 {time}")
    send("2017-01-01 14:00:00", user_id="b")
    fold_new_fixes(db)
    return lambda uri=mongodb_uri, **arguments: locapi.minutes(uri, **arguments)


def test_minutes_is_an_arrow_table(minutes: Read) -> None:
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


def test_table_becomes_a_pandas_frame(minutes: Read) -> None:
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
    minutes: Read, monkeypatch: pytest.MonkeyPatch, since: Any, until: Any, count: int
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert len(minutes(since=since, until=until)) == count


def test_pages_become_one_table(minutes: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    one_page = minutes()
    monkeypatch.setattr(query, "PAGE_SIZE", 1)
    pages = minutes()
    assert pages.equals(one_page)
    assert (one_page["minute"].num_chunks, pages["minute"].num_chunks) == (1, 3)


def test_settings_name_the_database_if_no_uri_does(
    minutes: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100")
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:1"):
        minutes(None)
    monkeypatch.delenv("MONGODB_URI")
    monkeypatch.setenv("LOCAPI_DATA_DIR", str(tmp_path))
    assert len(minutes(None)) == 0


@pytest.mark.parametrize(
    "arguments", [{"resolution": "7m"}, {"since": "yesterday"}, {"until": "2017-13-01"}]
)
def test_invalid_argument_raises_value_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"'.*' .*\. Write "):
        locapi.minutes(**arguments)


def test_importing_locapi_loads_no_large_library() -> None:
    program = "import locapi, sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert {"pyarrow", "pymongo", "timezonefinder", "numpy"}.isdisjoint(done.stdout.split())


def test_missing_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "locapi.exporters.arrow", raising=False)
    with pytest.raises(Misconfigured, match=r"pip install 'locapi\[export\]'"):
        locapi.minutes()
