"""Who bears no token of the fix's user gets nothing in, and no token can be read back."""

import hashlib
import hmac
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from bson import BSON
from flask.testing import FlaskClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from locapi import mongo, tokens
from locapi.app import create_app
from locapi.erase import erase
from locapi.errors import DatabaseUnavailable, Unauthorized
from locapi.mongo import FIXES, TOKENS, Document
from locapi.settings import Settings
from locapi.tokens import TRUST_S, Gate
from tests.conftest import Commands, a_fix
from tests.depth import examples

DEADLINE_S = 30
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    """A wall clock and a monotonic one that stand until they are moved."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed_s)

    def monotonic(self) -> float:
        return self.passed_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def guarded(database: Database[Document], clock: Clock | None = None) -> FlaskClient:
    """Return an API that asks for tokens, by these clocks."""
    app = create_app(Settings(auth="token"), database)
    if clock is not None:
        app.extensions["locapi"]["gate"] = Gate(database, clock.now, clock.monotonic)
    return app.test_client()


@pytest.fixture
def api(db: Database[Document], clock: Clock) -> FlaskClient:
    return guarded(db, clock)


@pytest.fixture
def token(db: Database[Document], clock: Clock) -> str:
    """A token of the user of `a_fix`."""
    return tokens.add(db, "a1", now=clock.now)


def id_of(token: str) -> str:
    return token.split("_")[1]


def put(api: FlaskClient, authorization: str | None = None, **fields: Any) -> tuple[int, Any]:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = api.put("/location", json=a_fix(**fields), headers=headers)
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="locapi"'
    body = answer.get_json()
    return answer.status_code, body["error"]["code"] if "error" in body else body["status"]


REFUSED = (401, "unauthorized")


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "bEaReR   "])
def test_who_bears_a_token_of_the_fixs_user_gets_it_stored(
    api: FlaskClient, token: str, scheme: str
) -> None:
    assert put(api, scheme + token) == (200, "stored")
    assert put(api, scheme + token) == (200, "duplicate")


def test_a_token_just_added_works_at_once_also_where_it_was_refused_before(
    db: Database[Document], api: FlaskClient
) -> None:
    token, document = tokens.make("a1", None, NOW)
    assert put(api, f"Bearer {token}") == REFUSED
    db[TOKENS].insert_one(document)
    assert put(api, f"Bearer {token}") == (200, "stored")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "{token}",
        "Basic {token}",
        "Bearer{token}",
        "Bearer\t{token}",
        " Bearer {token}",
        "Bearer {token} ",
        "Bearer {token}\x00",
        "Bearer {token},Bearer {token}",
        "Bearer {token}, Bearer {token}",
        'Bearer "{token}"',
        "Bearer token={token}",
        "Bearer {id}",
        "Bearer locapi_{id}",
        "Bearer locapi_{id}_",
        "Bearer locapi__{secret}",
        "Bearer LOCAPI_{id}_{secret}",
        "Bearer locapi_{id}_{upper}",
        "Bearer locapi_{id}_{secret}0",
        "Bearer locapi_{id}_٣{secret}",
        "Bearer " + "a" * 60_000,
        "Bearer" + " " * 60_000,
    ],
)
def test_what_is_no_token_gets_401_and_no_command_is_sent(
    watched: Database[Document], commands: Commands, token: str, header: str | None
) -> None:
    api = guarded(watched)
    secret = token.rpartition("_")[2]
    values = {"token": token, "id": id_of(token), "secret": secret, "upper": secret.upper()}
    authorization = header and header.format(**values)
    answer = api.put(
        "/location",
        json=a_fix(),
        # As a server hands it over: werkzeug's client would refuse to send some of these.
        environ_overrides={} if authorization is None else {"HTTP_AUTHORIZATION": authorization},
    )
    assert (answer.status_code, answer.get_json()["error"]["code"]) == REFUSED
    assert commands.names == []


def test_of_two_headers_none_counts(api: FlaskClient, token: str) -> None:
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert api.put("/location", json=a_fix(), headers=headers).status_code == 401


@st.composite
def mutated(draw: st.DrawFn, token: str) -> str:
    """Return a token with some characters replaced, left out, doubled or exchanged."""
    characters = list(token)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(characters) - 1))
        match draw(st.sampled_from(["replace", "drop", "insert", "swap"])):
            case "replace":
                characters[place] = draw(st.sampled_from("0123456789abcdefABF_ -/ä"))
            case "drop" if len(characters) > 1:
                del characters[place]
            case "insert":
                characters.insert(place, draw(st.sampled_from("0123456789abcdef_ \t,")))
            case _:
                other = draw(st.integers(0, len(characters) - 1))
                characters[place], characters[other] = characters[other], characters[place]
    return "".join(characters)


def test_every_wrong_variation_of_a_token_is_refused(db: Database[Document], token: str) -> None:
    gate = Gate(db)
    others = [tokens.add(db, user_id) for user_id in ("a1", "a2")]
    crossed = [f"locapi_{id_of(token)}_{other.rpartition('_')[2]}" for other in others]

    @settings(max_examples=examples(100))
    @given(mutated(token))
    @example(crossed[0])
    @example(crossed[1])
    def refused(wrong: str) -> None:
        # "Bearer" may be followed by several spaces.
        if wrong.lstrip(" ") != token:
            with pytest.raises(Unauthorized):
                gate.sender(f"Bearer {wrong}")
        assert gate.sender(f"Bearer {token}") == "a1"

    refused()


def test_401_comes_before_400_and_400_before_403(api: FlaskClient, token: str) -> None:
    assert put(api, lat=91) == REFUSED
    assert put(api, f"Bearer {token}", lat=91, user_id="a2") == (400, "invalid_fix")
    assert put(api, f"Bearer {token}", user_id="a2") == (403, "forbidden")


@pytest.mark.parametrize("user_id", ["a2", "A1", "a1 ", "a", "a11", "a\u0031\u0301"])
def test_a_fix_of_another_user_gets_403_and_is_not_stored(
    db: Database[Document], api: FlaskClient, token: str, user_id: str
) -> None:
    assert put(api, f"Bearer {token}", user_id=user_id) == (403, "forbidden")
    assert db[FIXES].count_documents({}) == 0


def test_health_stays_open_and_other_paths_are_as_before(api: FlaskClient) -> None:
    assert api.get("/health").status_code == 200
    assert api.get("/location").status_code == 405
    assert api.put("/locations").status_code == 404


def test_nothing_but_a_hash_of_the_secret_is_in_the_database(
    db: Database[Document], api: FlaskClient, token: str
) -> None:
    assert put(api, f"Bearer {token}")[0] == 200
    secret = token.rpartition("_")[2]
    stored = b"".join(
        BSON.encode(document) for name in db.list_collection_names() for document in db[name].find()
    )
    assert id_of(token).encode() in stored
    assert hashlib.sha256(secret.encode()).digest() in stored
    for shape in (secret.encode(), bytes.fromhex(secret), secret[:16].encode()):
        assert shape not in stored


def test_tokens_are_each_another_and_of_256_bits() -> None:
    secrets = {tokens.make("a1", None, NOW)[0].rpartition("_")[2] for _ in range(1000)}
    assert len(secrets) == 1000
    assert {len(secret) for secret in secrets} == {256 // 4}


def test_secrets_are_compared_in_constant_time_also_where_there_is_no_token(
    db: Database[Document], token: str
) -> None:
    gate = Gate(db)
    unknown = tokens.make("a1", None, NOW)[0]
    with mock.patch("locapi.tokens.compare_digest", wraps=hmac.compare_digest) as compare:
        assert gate.sender(f"Bearer {token}") == "a1"
        for wrong in (unknown, f"locapi_{id_of(token)}_{'0' * 64}"):
            with pytest.raises(Unauthorized):
                gate.sender(f"Bearer {wrong}")
    assert compare.call_count == 3
    assert {len(side) for call in compare.call_args_list for side in call.args} == {32}
    with mock.patch("locapi.tokens.compare_digest", return_value=True):
        with pytest.raises(Unauthorized):
            gate.sender(f"Bearer {unknown}")


def test_a_revoked_token_stops_within_a_minute_on_every_worker(
    db: Database[Document], token: str
) -> None:
    clocks = [Clock(), Clock()]
    workers = [guarded(db, clock) for clock in clocks]
    clocks[1].passed_s = 20.0
    for worker in workers:
        assert put(worker, f"Bearer {token}")[0] == 200
    assert tokens.revoke(db, id_of(token))
    for clock, worker in zip(clocks, workers, strict=True):
        clock.passed_s += math.nextafter(TRUST_S, 0) - 1e-6
        assert put(worker, f"Bearer {token}")[0] == 200  # by what it remembers
        clock.passed_s += 1e-3
        assert put(worker, f"Bearer {token}") == REFUSED
    assert TRUST_S < 60
    assert put(guarded(db), f"Bearer {token}") == REFUSED


def test_a_clock_that_is_set_back_does_not_make_a_revoked_token_last(
    db: Database[Document], token: str
) -> None:
    times = iter([NOW, NOW - timedelta(days=1)])
    clock = Clock()
    gate = Gate(db, lambda: next(times), clock.monotonic)
    assert gate.sender(f"Bearer {token}") == "a1"
    tokens.revoke(db, id_of(token))
    clock.passed_s += TRUST_S
    with pytest.raises(Unauthorized):
        gate.sender(f"Bearer {token}")


def test_a_token_expires_at_the_very_second(
    db: Database[Document], api: FlaskClient, clock: Clock
) -> None:
    token = tokens.add(db, "a1", timedelta(seconds=10), now=clock.now)
    clock.passed_s = 9.999_999
    assert put(api, f"Bearer {token}")[0] == 200
    clock.passed_s = 10.0
    assert put(api, f"Bearer {token}") == REFUSED


def test_a_revocation_keeps_its_first_time(db: Database[Document], token: str) -> None:
    later = NOW + timedelta(hours=1)
    assert tokens.revoke(db, id_of(token), now=lambda: NOW)
    assert tokens.revoke(db, id_of(token), now=lambda: later)
    (listed,) = tokens.find(db)
    assert (listed.revoked_at, listed.state(later)) == (NOW, "revoked")
    assert not tokens.revoke(db, "0" * 16)


def test_tokens_of_an_erased_user_are_gone_and_others_stay(
    db: Database[Document], api: FlaskClient, token: str
) -> None:
    other = tokens.add(db, "a2", now=lambda: NOW)
    erase(db, "a1")
    assert [each.user_id for each in tokens.find(db)] == ["a2"]
    assert put(api, f"Bearer {token}") == REFUSED
    assert put(api, f"Bearer {other}", user_id="a2")[0] == 200


def test_while_the_database_is_away_nobody_is_let_in(
    db: Database[Document], clock: Clock, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "DEADLINE_S", 0.1)
    uri = "mongodb://127.0.0.1:1/"
    with mongo.open_database(Settings(mongodb_uri=uri)) as away:
        fresh, stale = Gate(away, clock.now, clock.monotonic), Gate(db, clock.now, clock.monotonic)
        assert stale.sender(f"Bearer {token}") == "a1"
        clock.passed_s = TRUST_S
        stale._tokens = away[TOKENS]
        for gate in (fresh, stale):
            with pytest.raises(DatabaseUnavailable):
                gate.sender(f"Bearer {token}")
        api = guarded(away)
        assert put(api, f"Bearer {token}") == (500, "database_unavailable")
        assert put(api, "Bearer nonsense") == REFUSED
        stale._tokens = db[TOKENS]
        assert stale.sender(f"Bearer {token}") == "a1"  # once it is back


def test_a_put_with_a_token_that_is_known_costs_no_command_of_its_own(
    watched: Database[Document], commands: Commands, token: str
) -> None:
    api = guarded(watched)
    assert put(api, f"Bearer {token}")[0] == 200
    commands.names.clear()
    assert put(api, f"Bearer {token}", timestamp="2017-01-01 13:05:13") == (200, "stored")
    assert put(api, f"Bearer locapi_{id_of(token)}_{'0' * 64}") == REFUSED
    assert commands.names == ["insert"]


def test_requests_that_arrive_together_share_their_look_ups(
    watched: Database[Document], commands: Commands
) -> None:
    """One look-up at a time, however many ask, for one token or for many, known or not."""
    gate = Gate(watched)
    made = [tokens.add(watched, f"u{number}") for number in range(20)]
    unknown = [tokens.make("a1", None, NOW)[0] for _ in range(20)]
    commands.names.clear()
    arrived, release = threading.Semaphore(0), threading.Event()
    find = gate._find

    def held(token_ids: list[str]) -> list[Document | None]:
        arrived.release()
        assert release.wait(DEADLINE_S)
        return find(token_ids)

    def ask(token: str) -> str | None:
        try:
            return gate.sender(f"Bearer {token}")
        except Unauthorized:
            return None

    gate._look_up._call = held
    with ThreadPoolExecutor(50) as threads:
        first = threads.submit(ask, made[0])
        assert arrived.acquire(timeout=DEADLINE_S)
        rest = [threads.submit(ask, token) for token in [*made, *unknown, *made[:9]]]
        while waiting(gate) < len(rest):
            pass
        release.set()
        answers = [future.result(DEADLINE_S) for future in [first, *rest]]
    users = [f"u{number}" for number in range(20)]
    assert answers == ["u0", *users, *[None] * 20, *users[:9]]
    assert commands.names == ["find", "find"]


def waiting(gate: Gate) -> int:
    forming = gate._look_up._next
    return len(forming.items) if forming else 0


def test_what_a_worker_remembers_is_bounded(
    watched: Database[Document], commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MAX_KNOWN", 2)
    gate = Gate(watched)
    made = [tokens.add(watched, f"u{number}") for number in range(3)]
    for token in made:
        gate.sender(f"Bearer {token}")
        with pytest.raises(Unauthorized):
            gate.sender(f"Bearer {tokens.make('a1', None, NOW)[0]}")
    assert list(gate._known) == [id_of(token) for token in made[1:]]
    commands.names.clear()
    for token in reversed(made):
        gate.sender(f"Bearer {token}")
    assert commands.names == ["find"]


def test_neither_logs_nor_answers_show_a_token(
    db: Database[Document], token: str, caplog: pytest.LogCaptureFixture
) -> None:
    api = guarded(db)
    wrong = tokens.make("a1", None, NOW)[0]
    seen = []
    for bearer in (token, wrong, token + "0"):
        for fields in ({}, {"user_id": "a2"}, {"lat": 91}):
            answer = api.put(
                "/location", json=a_fix(**fields), headers={"Authorization": f"Bearer {bearer}"}
            )
            seen += [str(answer.headers), answer.get_data(as_text=True)]
    with mock.patch.object(Gate, "_read", side_effect=ZeroDivisionError("a bug")):
        answer = api.put("/location", headers={"Authorization": f"Bearer {wrong}"})
    assert answer.status_code == 500
    assert "a bug" in caplog.text
    for text in [*seen, caplog.text, answer.get_data(as_text=True)]:
        for each in (token, wrong):
            assert each.rpartition("_")[2] not in text
