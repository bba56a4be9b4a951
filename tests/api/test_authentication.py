"""A fix is stored only with a valid token of its user, and no token is ever shown."""

import asyncio
import hmac
import math
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from flask.testing import FlaskClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pymongo.errors import ServerSelectionTimeoutError

from locapi.api import authentication
from locapi.api.app import create_app
from locapi.api.authentication import TRUST_S, Authenticator
from locapi.concurrency import greenlets
from locapi.errors import DatabaseUnavailable, Unauthorized
from locapi.ingest import tokens
from locapi.settings import Settings
from locapi.storage import documents
from locapi.storage.documents import FIXES, Document
from tests.conftest import Commands, a_fix
from tests.support.depth import examples

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
REFUSED = (401, "unauthorized")
FIND = "pymongo.collection.Collection.find"


class Clock:
    """A wall clock and a monotonic clock that are moved by hand."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed_s)

    def monotonic(self) -> float:
        return self.passed_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def with_tokens(database: Database[Document]) -> FlaskClient:
    """Return a client of an API that requires tokens."""
    return create_app(Settings(auth="token"), database).test_client()


@pytest.fixture
def api(db: Database[Document]) -> FlaskClient:
    return with_tokens(db)


@pytest.fixture
def token(db: Database[Document]) -> str:
    """A token of the user of `a_fix`."""
    return tokens.add(db, "a1", now=lambda: NOW)


def id_of(token: str) -> str:
    return token.split("_")[1]


def other_secret(token: str) -> str:
    return f"locapi_{id_of(token)}_{'0' * 64}"


def put(api: FlaskClient, token: str | None = None, **fields: Any) -> tuple[int, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    response = api.put("/location", json=a_fix(**fields), headers=headers)
    if response.status_code == 401:
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="locapi"'
    body = response.get_json()
    return response.status_code, body["error"]["code"] if "error" in body else body["status"]


def user_for(authenticator: Authenticator, token: str) -> str | None:
    """Return the token's user, None if the token is refused."""
    try:
        return authenticator.user_for(f"Bearer {token}")
    except Unauthorized:
        return None


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "bEaReR   "])
def test_fix_with_a_token_of_its_user_is_stored(api: FlaskClient, token: str, scheme: str) -> None:
    response = api.put("/location", json=a_fix(), headers={"Authorization": scheme + token})
    assert (response.status_code, response.get_json()["status"]) == (200, "stored")
    assert put(api, token) == (200, "duplicate")


def test_new_token_works_at_once_even_if_it_was_refused_before(
    db: Database[Document], api: FlaskClient
) -> None:
    token, document = tokens.make("a1", None, NOW)
    assert put(api, token) == REFUSED
    documents.tokens(db).insert_one(document)
    assert put(api, token) == (200, "stored")


MALFORMED = [
    None,
    *("", "Bearer", "Bearer ", "{token}", "Basic {token}", "Bearer{token}", "Bearer\t{token}"),
    *(" Bearer {token}", "Bearer {token} ", "Bearer {token}\x00", 'Bearer "{token}"'),
    *("Bearer {token},Bearer {token}", "Bearer {token}, Bearer {token}", "Bearer token={token}"),
    *("Bearer {id}", "Bearer locapi_{id}", "Bearer locapi_{id}_", "Bearer locapi__{secret}"),
    *("Bearer LOCAPI_{id}_{secret}", "Bearer locapi_{id}_{upper}", "Bearer locapi_{id}_{secret}0"),
    *("Bearer locapi_{id}_٣{secret}", "Bearer " + "a" * 60_000, "Bearer" + " " * 60_000),
]


@pytest.mark.parametrize("header", MALFORMED)
def test_malformed_token_gets_401_without_a_database_command(
    watched: Database[Document], commands: Commands, token: str, header: str | None
) -> None:
    secret = token.rpartition("_")[2]
    values = {"token": token, "id": id_of(token), "secret": secret, "upper": secret.upper()}
    authorization = header and header.format(**values)
    response = with_tokens(watched).put(
        "/location",
        json=a_fix(),
        # Past werkzeug's client, which refuses to send some of these.
        environ_overrides={} if authorization is None else {"HTTP_AUTHORIZATION": authorization},
    )
    assert (response.status_code, response.get_json()["error"]["code"]) == REFUSED
    assert commands.names == []


@st.composite
def mutated(draw: st.DrawFn, token: str) -> str:
    """Return a token in which some characters are replaced, dropped, added or swapped."""
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


def test_every_mutation_of_a_token_is_refused(db: Database[Document], token: str) -> None:
    authenticator = Authenticator(db)
    others = [tokens.add(db, user_id) for user_id in ("a1", "a2")]
    crossed = [f"locapi_{id_of(token)}_{other.rpartition('_')[2]}" for other in others]

    @settings(max_examples=examples(100))
    @given(mutated(token))
    @example(crossed[0])
    @example(crossed[1])
    def refused(wrong: str) -> None:
        if wrong.lstrip(" ") != token:  # "Bearer" may be followed by several spaces
            assert user_for(authenticator, wrong) is None
        assert user_for(authenticator, token) == "a1"

    refused()


def test_401_precedes_400_and_400_precedes_403(api: FlaskClient, token: str) -> None:
    assert put(api, lat=91) == REFUSED
    assert put(api, token, lat=91, user_id="a2") == (400, "invalid_fix")
    assert put(api, token, user_id="a2") == (403, "forbidden")


@pytest.mark.parametrize("user_id", ["a2", "A1", "a1 ", "a", "a11", "a\u0031\u0301"])
def test_fix_of_another_user_gets_403_and_is_not_stored(
    db: Database[Document], api: FlaskClient, token: str, user_id: str
) -> None:
    assert put(api, token, user_id=user_id) == (403, "forbidden")
    assert db[FIXES].count_documents({}) == 0


def test_other_endpoints_need_no_token(api: FlaskClient) -> None:
    for path in ("/health", "/metrics", "/openapi.json", "/docs"):
        assert api.get(path).status_code == 200
    assert api.get("/location").status_code == 405
    assert api.put("/nothing").status_code == 404


def test_secrets_are_compared_in_constant_time_even_without_a_token(
    db: Database[Document], token: str
) -> None:
    authenticator = Authenticator(db)
    unknown = tokens.make("a1", None, NOW)[0]
    compare_digest = "locapi.api.authentication.compare_digest"
    with mock.patch(compare_digest, wraps=hmac.compare_digest) as compare:
        users = [user_for(authenticator, each) for each in (token, unknown, other_secret(token))]
    assert users == ["a1", None, None]
    assert compare.call_count == 3
    assert {len(side) for call in compare.call_args_list for side in call.args} == {32}
    with mock.patch(compare_digest, return_value=True):
        assert user_for(authenticator, unknown) is None


def test_revoked_token_is_refused_within_a_minute_by_every_worker(
    db: Database[Document], token: str
) -> None:
    clocks = [Clock(), Clock()]
    workers = [Authenticator(db, clock.now, clock.monotonic) for clock in clocks]
    clocks[1].passed_s = 20.0
    assert [user_for(worker, token) for worker in workers] == ["a1", "a1"]
    assert tokens.revoke(db, id_of(token))
    for clock, worker in zip(clocks, workers, strict=True):
        clock.passed_s += math.nextafter(TRUST_S, 0) - 1e-6
        assert user_for(worker, token) == "a1"  # cached
        clock.passed_s += 1e-3
        assert user_for(worker, token) is None
    assert TRUST_S < 60
    assert user_for(Authenticator(db), token) is None


def test_setting_the_clock_back_does_not_revive_a_revoked_token(
    db: Database[Document], token: str, clock: Clock
) -> None:
    times = iter([NOW, NOW - timedelta(days=1)])
    authenticator = Authenticator(db, lambda: next(times), clock.monotonic)
    assert user_for(authenticator, token) == "a1"
    tokens.revoke(db, id_of(token))
    clock.passed_s += TRUST_S
    assert user_for(authenticator, token) is None


def test_token_expires_to_the_second(db: Database[Document], clock: Clock) -> None:
    authenticator = Authenticator(db, clock.now, clock.monotonic)
    token = tokens.add(db, "a1", timedelta(seconds=10), now=clock.now)
    clock.passed_s = 9.999_999
    assert user_for(authenticator, token) == "a1"
    clock.passed_s = 10.0
    assert user_for(authenticator, token) is None


def test_nobody_is_authenticated_while_the_database_is_unavailable(
    db: Database[Document], clock: Clock, token: str
) -> None:
    fresh = Authenticator(db, clock.now, clock.monotonic)
    stale = Authenticator(db, clock.now, clock.monotonic)
    assert user_for(stale, token) == "a1"
    clock.passed_s = TRUST_S
    with mock.patch(FIND, side_effect=ServerSelectionTimeoutError("secret")):
        for authenticator in (fresh, stale):
            with pytest.raises(DatabaseUnavailable):
                user_for(authenticator, token)
        api = with_tokens(db)
        assert put(api, token) == (500, "database_unavailable")
        assert put(api, "nonsense") == REFUSED
    assert user_for(stale, token) == "a1"


def test_cached_token_costs_no_database_command(
    watched: Database[Document], commands: Commands, token: str
) -> None:
    api = with_tokens(watched)
    assert put(api, token)[0] == 200
    commands.names.clear()
    assert put(api, token, timestamp="2017-01-01 13:05:13") == (200, "stored")
    assert put(api, other_secret(token)) == REFUSED
    assert commands.names == ["insert"]


def test_requests_that_arrive_together_share_one_lookup(
    watched: Database[Document], commands: Commands
) -> None:
    authenticator = Authenticator(watched)
    made = [tokens.add(watched, f"u{number}") for number in range(20)]
    unknown = [tokens.make("a1", None, NOW)[0] for _ in range(20)]
    commands.names.clear()

    async def all_at_once() -> list[str | None]:
        asked = [*made, *unknown, *made[:9]]
        tasks = [greenlets.run(user_for, authenticator, token) for token in asked]
        return await asyncio.gather(*tasks)

    users = [f"u{number}" for number in range(20)]
    assert asyncio.run(all_at_once()) == [*users, *[None] * 20, *users[:9]]
    assert commands.names == ["find"]


def test_cache_is_bounded_and_drops_the_token_read_least_recently(
    watched: Database[Document], commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "MAX_CACHED", 2)
    authenticator = Authenticator(watched)
    made = [tokens.add(watched, f"u{number}") for number in range(3)]
    for token in made:
        assert user_for(authenticator, token) is not None
        assert user_for(authenticator, tokens.make("a1", None, NOW)[0]) is None
    commands.names.clear()
    for token in reversed(made):
        assert user_for(authenticator, token) is not None
    assert commands.names == ["find"]


def test_neither_logs_nor_responses_show_a_token(
    db: Database[Document], token: str, caplog: pytest.LogCaptureFixture
) -> None:
    api = with_tokens(db)
    wrong = tokens.make("a1", None, NOW)[0]
    shown = []

    def send(bearer: str, **fields: Any) -> int:
        headers = {"Authorization": f"Bearer {bearer}"}
        response = api.put("/location", json=a_fix(**fields), headers=headers)
        shown.extend([str(response.headers), response.get_data(as_text=True)])
        return response.status_code

    for bearer in (token, wrong, token + "0"):
        for fields in ({}, {"user_id": "a2"}, {"lat": 91}):
            send(bearer, **fields)
    with mock.patch(FIND, side_effect=ZeroDivisionError("a bug")):
        assert send(wrong) == 500
    assert "unexpected error" in caplog.text
    for text in [*shown, caplog.text]:
        for each in (token, wrong):
            assert each.rpartition("_")[2] not in text
