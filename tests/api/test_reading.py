"""GET /minutes, /map and /: formats, rights, errors, and readers that are many or slow."""

import base64
import json
import os
import threading
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

import pyarrow.parquet as pq
import pytest
from flask.testing import FlaskClient
from pymongo.database import Database

from locapi.api import downloads
from locapi.api.app import create_app
from locapi.api.downloads import Downloads
from locapi.errors import InvalidRequest, Overloaded
from locapi.ingest import tokens
from locapi.rollup.erase import erase
from locapi.rollup.fold import fold_new_fixes
from locapi.settings import Settings
from locapi.storage.documents import Document
from tests.conftest import Send, a_fix

HEADER = "user_id,minute,lat,long,accuracy,speed,count"


@pytest.fixture
def folded(db: Database[Document], send: Send) -> Database[Document]:
    send()
    send("2017-01-01 14:00:00", user_id="b")
    fold_new_fixes(db)
    return db


@pytest.fixture
def guarded(folded: Database[Document]) -> FlaskClient:
    return create_app(Settings(auth="token"), folded).test_client()


def get(client: FlaskClient, path: str, **options: Any) -> Any:
    """Read the whole response, as a server does, so that its file is closed."""
    return client.get(path, buffered=True, **options)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.usefixtures("folded")
def test_parameters_select_minutes(api: FlaskClient) -> None:
    everything = get(api, "/minutes")
    assert everything.status_code == 200
    assert everything.text.splitlines() == [
        HEADER,
        "a1,2017-01-01T18:05:00Z,40.7,-74.0,5.0,1.5,1",
        "b,2017-01-01T19:00:00Z,40.7,-74.0,5.0,1.5,1",
    ]
    assert everything.headers["Cache-Control"] == "private, no-store"
    assert everything.headers["X-Content-Type-Options"] == "nosniff"
    assert "Next-Token" not in everything.headers
    for query in ("user_id=b", "since=2017-01-01T18:06:00Z", "until=2017-01-01T19:01Z&user_id=b"):
        assert [line[0] for line in get(api, f"/minutes?{query}").text.splitlines()] == ["u", "b"]
    hours = get(api, "/minutes?resolution=1h&format=ndjson&user_id=a1").text
    assert json.loads(hours)["minute"] == "2017-01-01T18:00:00Z"


@pytest.mark.usefixtures("folded")
@pytest.mark.parametrize(
    ("accept", "mimetype"),
    [
        ("*/*", "text/csv"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/gpx+xml;q=0.5, application/geo+json", "application/geo+json"),
        ("application/vnd.google-earth.kml+xml", "application/vnd.google-earth.kml+xml"),
        ("text/csv;charset=utf-8", "text/csv"),
        ('text/csv; header="present"; q=0.5, APPLICATION/X-NDJSON; a=b', "application/x-ndjson"),
    ],
)
def test_format_follows_accept(api: FlaskClient, accept: str, mimetype: str) -> None:
    assert get(api, "/minutes", headers={"Accept": accept}).mimetype == mimetype


@pytest.mark.usefixtures("folded")
def test_parquet_is_readable_and_unknown_types_are_refused(api: FlaskClient) -> None:
    file = get(api, "/minutes?format=parquet")
    assert pq.read_table(BytesIO(file.data)).num_rows == 2
    refused = get(api, "/minutes", headers={"Accept": "image/png"})
    assert refused.status_code == 400
    assert "text/csv" in refused.get_json()["error"]["fields"]["Accept"][0]


def test_next_token_continues(folded: Database[Document], api: FlaskClient, send: Send) -> None:
    first = get(api, "/minutes?changed_since=start&format=ndjson")
    assert len(first.text.splitlines()) == 2
    send("2017-01-01 15:00:00")
    fold_new_fixes(folded)
    erase(folded, "b")
    link = first.headers["Link"]
    assert link.endswith('>; rel="next"')
    erased, minute = get(api, link[1 : link.index(">")]).text.splitlines()
    assert json.loads(erased) == {"user_id": "b", "erased": True}
    assert json.loads(minute)["minute"] == "2017-01-01T20:00:00Z"
    token = first.headers["Next-Token"]
    assert len(get(api, "/minutes", query_string={"changed_since": token}).text.splitlines()) == 3
    folded.watermarks.delete_many({})
    refused = get(api, "/minutes", query_string={"changed_since": token})
    assert refused.status_code == 400
    assert "another database" in refused.get_json()["error"]["fields"]["changed_since"][0]


@pytest.mark.parametrize(
    ("query", "name", "fault"),
    [
        ("since=noon", "since", "'noon' is not a time. Write 2017-01-01"),
        ("user_id=", "user_id", "1 to 128 characters"),
        ("resolution=7m", "resolution", "Write 5m, 1h or 1d."),
        ("format=xml", "format", "Write csv, ndjson, parquet"),
        ("changed_since=1", "changed_since", "not a token"),
        ("user=a1", "user", "The parameters are user_id, since"),
        ("since=2017-01-01&since=2017-01-02", "since", "more than once"),
        ("changed_since=start&resolution=1h", "resolution", "Leave out one of the two"),
        ("changed_since=start&format=gpx", "format", "Write csv, ndjson, parquet"),
    ],
)
def test_faults_are_explained(api: FlaskClient, query: str, name: str, fault: str) -> None:
    refused = get(api, f"/minutes?{query}")
    error = refused.get_json()["error"]
    assert (refused.status_code, error["code"]) == (400, "invalid_request")
    assert fault in error["fields"][name][0]


def test_tokens_read_only_the_minutes_they_permit(
    folded: Database[Document], guarded: FlaskClient
) -> None:
    sends, reads = tokens.add(folded, "a1"), tokens.add(folded, "a1", reads="own")
    reads_all = tokens.add(folded, "", reads="all")

    def users(token: str, query: str = "") -> Any:
        answer = get(guarded, f"/minutes?{query}", headers=bearer(token))
        if answer.status_code != 200:
            return answer.status_code
        return [line.split(",")[0] for line in answer.text.splitlines()[1:]]

    assert users(sends) == 403
    assert users(reads) == users(reads, "user_id=a1") == ["a1"]
    assert users(reads, "user_id=b") == 403
    assert users(reads, "changed_since=start") == ["a1"]
    assert users(reads_all) == ["a1", "b"]
    assert users(reads_all, "user_id=b") == ["b"]
    assert users("") == 401
    for user_id in ("", "a1"):
        fix = a_fix(user_id=user_id)
        assert guarded.put("/location", json=fix, headers=bearer(reads_all)).status_code == 403
    position = {"_type": "location", "lat": 40.7, "lon": -74.0, "tst": 1_483_293_912}
    sent = guarded.post("/owntracks?user=a1", json=position, headers=bearer(reads_all))
    assert sent.status_code == 403


def test_a_browser_logs_in_with_the_token_as_password(
    folded: Database[Document], guarded: FlaskClient
) -> None:
    asked = get(guarded, "/map")
    assert asked.status_code == 401
    assert any(each.startswith("Basic ") for each in asked.headers.getlist("WWW-Authenticate"))
    token = tokens.add(folded, "a1", reads="own")
    shown = get(guarded, "/map", auth=("anyone", token))
    assert shown.status_code == 200
    assert shown.mimetype == "text/html"
    assert '"users":["a1"]' in shown.text
    for wrong in ("x", token[:-1] + "x"):
        assert get(guarded, "/map", auth=("", wrong)).status_code == 401
    broken = base64.b64encode(b"\xff:\xff").decode()
    for header in (f"Basic {broken}", "Basic =", "Basic"):
        assert get(guarded, "/map", headers={"Authorization": header}).status_code == 401


def test_index_links_to_what_there_is(guarded: FlaskClient) -> None:
    page = get(guarded, "/")
    assert page.status_code == 200
    assert page.mimetype == "text/html"
    for path in ("map", "minutes", "docs", "health"):
        assert f'href="{path}"' in page.text
        assert get(guarded, f"/{path}").status_code in {200, 401}


def test_too_many_minutes_for_a_map_are_refused(
    folded: Database[Document], api: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locapi.map.columns.MAX_MINUTES", 1)
    refused = get(api, "/map")
    assert refused.status_code == 400
    assert "Select fewer" in refused.get_json()["error"]["message"]
    assert get(api, "/map?user_id=b").status_code == 200


@pytest.fixture
def held() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_readers_are_bounded(held: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Downloads()
    monkeypatch.setattr(downloads, "MAX_WAITING", 1)
    writing = threading.Event()

    def wait(_: BinaryIO) -> bool:
        writing.set()
        return held.wait(30)

    first = threading.Thread(target=lambda: service.write(wait)[0].close())
    first.start()
    assert writing.wait(30)
    with pytest.raises(Overloaded, match="wait for minutes"):
        service.write(lambda _: None)
    held.set()
    first.join(30)
    monkeypatch.setattr(downloads, "MAX_SENDING", 1)
    file, result = service.write(lambda out: out.write(b"12"))
    assert (file.read(), result) == (b"12", 2)
    service.write(lambda _: None)[0].close()
    sending = os.dup(file.fileno())
    with pytest.raises(Overloaded, match="are reading"):
        service.write(lambda _: None)
    os.close(sending)
    file.close()
    service.write(lambda _: None)[0].close()


def test_full_disk_is_reported_with_advice() -> None:
    def fill(_: BinaryIO) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(InvalidRequest, match="Ask for less"):
        Downloads().write(fill)
