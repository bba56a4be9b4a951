"""OwnTracks and Overland: what they send is on disk, as fix or reject, when it is confirmed."""

import json
from typing import Any
from unittest import mock

import pytest
from flask.testing import FlaskClient
from pymongo.database import Database
from pymongo.errors import ServerSelectionTimeoutError

from locapi.api.app import create_app
from locapi.ingest import tokens
from locapi.settings import Settings
from locapi.storage.documents import Document
from tests.support.phone_apps import Overland, OwnTracks, Post, feature, message

FAILURE = ServerSelectionTimeoutError("no primary")
INSERT = "pymongo.collection.Collection.insert_many"


def post_with(api: FlaskClient) -> Post:
    def post(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes] | None:
        response = api.post(path, data=body, headers=headers)
        return response.status_code, response.data

    return post


def no_response(post: Post) -> Post:
    """Let the server answer too late for the client."""

    def late(path: str, body: bytes, headers: dict[str, str]) -> None:
        post(path, body, headers)

    return late


@pytest.fixture
def post(api: FlaskClient) -> Post:
    return post_with(api)


def stored(db: Database[Document]) -> list[tuple[Any, ...]]:
    names = ("user_id", "local_time", "lat", "long", "accuracy", "speed")
    found = db.fixes.find().sort("_id", 1)
    return [tuple(fix[name] for name in names) for fix in found]


ANN = ("ann", "2017-01-01 13:05:12", 40.7, -74.0)


def test_owntracks_location_is_stored_and_confirmed_by_an_array(
    db: Database[Document], post: Post
) -> None:
    app = OwnTracks(post)
    app.publish(message())
    assert app.send()
    assert stored(db) == [(*ANN, 13.0, pytest.approx(10.0))]


def test_owntracks_without_accuracy_and_speed_leaves_them_unknown(
    db: Database[Document], post: Post
) -> None:
    app = OwnTracks(post)
    app.publish({name: value for name, value in message().items() if name not in ("acc", "vel")})
    assert app.send()
    assert stored(db) == [(*ANN, None, None)]


@pytest.mark.parametrize(
    "other", [b"", {"_type": "lwt", "tst": 1}, {"_type": "waypoint"}, {"_type": "transition"}]
)
def test_owntracks_messages_of_other_types_are_confirmed_and_not_stored(
    db: Database[Document], post: Post, other: Any
) -> None:
    app = OwnTracks(post)
    app.publish(other)
    assert app.send()
    assert db.fixes.find_one() is db.rejects.find_one() is None


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"tst": 1483293912, "lat": 1, "lon": 2}',
        b'{"_type": "location", "_type": "location", "lat": 1}',
        b'{"_type": null, "lat": NaN}',
    ],
)
def test_owntracks_message_without_one_type_is_kept_as_it_came(
    db: Database[Document], post: Post, body: bytes
) -> None:
    app = OwnTracks(post, **{"X-Limit-U": "bob"})
    app.publish(body)
    assert app.send()
    (reject,) = db.rejects.find()
    assert (reject["user_id"], reject["fields"]) == ("bob", ["_type"])
    assert reject["content"] == body.decode()


def test_an_encrypted_message_is_kept_as_a_reject(db: Database[Document], post: Post) -> None:
    app = OwnTracks(post, **{"X-Limit-U": "bob"})
    app.publish({"_type": "encrypted", "data": "AAAA"})
    assert app.send()
    (reject,) = db.rejects.find()
    assert (reject["user_id"], reject["fields"]) == ("bob", ["_type"])
    assert "turn off encryption" in reject["reason"]


@pytest.mark.parametrize(
    ("headers", "fields", "user_id"),
    [
        ({"X-Limit-U": "bob"}, {}, "bob"),
        ({}, {}, "ann"),
        ({}, {"topic": "x"}, "ph"),
        ({}, {"topic": None}, "ph"),
    ],
)
def test_owntracks_user_comes_from_the_header_the_topic_or_the_tid(
    db: Database[Document],
    post: Post,
    headers: dict[str, str],
    fields: dict[str, Any],
    user_id: str,
) -> None:
    app = OwnTracks(post, **headers)
    app.publish(message(**fields))
    assert app.send()
    assert [fix[0] for fix in stored(db)] == [user_id]


def test_overland_batches_are_stored(db: Database[Document], post: Post) -> None:
    app = Overland(post, batch=1)
    app.features = [
        feature(),
        feature(timestamp="2017-01-01T13:05:13-0500", speed=1.5),
    ]
    assert app.send()
    assert stored(db) == [
        (*ANN, 30.0, None),
        ("ann", "2017-01-01 13:05:13", 40.7, -74.0, 30.0, 1.5),
    ]
    assert db.rejects.find_one() is None


@pytest.mark.parametrize("other", [{"action": "visit"}, {"action": None}, {"type": "trip"}])
def test_overland_visits_actions_and_trips_are_passed_over(
    db: Database[Document], post: Post, other: dict[str, Any]
) -> None:
    app = Overland(post)
    without_point = {**feature(**other), "geometry": None}
    app.features = [feature(**other), without_point, feature(speed=1.5)]
    assert app.send()
    assert stored(db) == [(*ANN, 30.0, 1.5)]
    assert db.rejects.find_one() is None


def test_owntracks_user_name_that_is_not_ascii_is_refused_unless_the_url_names_the_user(
    db: Database[Document], api: FlaskClient
) -> None:
    headers = {"X-Limit-U": "jos\u00c3\u00a9"}
    refused = api.post("/owntracks", json=message(), headers=headers)
    assert refused.status_code == 400
    assert "?user=" in refused.get_json()["error"]["fields"]["X-Limit-U"][0]
    assert db.fixes.find_one() is db.rejects.find_one() is None
    assert api.post("/owntracks?user=jos%C3%A9", json=message(), headers=headers).status_code == 200
    assert [fix[0] for fix in stored(db)] == ["jos\u00e9"]


@pytest.mark.parametrize(
    "geometry",
    [
        b'"geometry": null',
        b'"geometry": {}',
        b'"geometry": {"type": "Polygon", "coordinates": [1, 2]}',
        b'"geometry": {"type": "Point", "type": "Point", "coordinates": [1, 2]}',
        b'"bbox": []',
    ],
)
def test_overland_location_without_a_point_is_kept_as_a_reject(
    db: Database[Document], api: FlaskClient, geometry: bytes
) -> None:
    feature = b'{"properties": {"device_id": "ann"}, ' + geometry + b"}"
    response = api.post("/overland", data=b'{"locations": [' + feature + b"]}")
    assert response.get_json() == {"result": "ok"}
    (reject,) = db.rejects.find()
    assert (reject["user_id"], reject["fields"]) == ("ann", ["geometry"])
    assert db.fixes.find_one() is None


def test_user_may_come_from_the_url(db: Database[Document], post: Post) -> None:
    app = Overland(post, query="?user=bob")
    app.features = [feature()]
    assert app.send()
    assert [fix[0] for fix in stored(db)] == ["bob"]


@pytest.mark.parametrize("failure", ["500", "no response"])
def test_apps_lose_and_duplicate_nothing_after_a_failure(
    db: Database[Document], post: Post, failure: str
) -> None:
    track, batch = OwnTracks(post), Overland(post)
    track.publish(message(tid="aa"))
    track.publish(message(lat=91))
    batch.features = [feature(30), feature(31, horizontal_accuracy=-1), feature(32)]
    for app in (track, batch):
        if failure == "500":
            with mock.patch(INSERT, side_effect=FAILURE):
                assert not app.send()
        else:
            app.post = no_response(post)
            assert not app.send()
            app.post = post
        assert app.send()
    assert len(stored(db)) == 3
    assert sorted(each["fields"] for each in db.rejects.find()) == [["accuracy"], ["lat"]]


def test_failure_to_keep_a_reject_is_not_confirmed(db: Database[Document], post: Post) -> None:
    app = OwnTracks(post)
    app.publish(message(lat=91))
    with mock.patch(INSERT, side_effect=FAILURE):
        assert not app.send()
    assert app.send()
    (reject,) = db.rejects.find()
    assert reject["user_id"] == "ann"
    assert json.loads(reject["content"])["lat"] == 91


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff", b'{"locations": 7}'])
def test_a_body_that_cannot_be_read_is_kept_as_a_reject(
    db: Database[Document], api: FlaskClient, body: bytes
) -> None:
    assert api.post("/overland", data=body).get_json() == {"result": "ok"}
    (reject,) = db.rejects.find()
    assert (reject["user_id"], reject["endpoint"]) == ("", "overland")


def test_a_body_that_cannot_be_read_belongs_to_the_user_of_the_request(
    db: Database[Document], api: FlaskClient
) -> None:
    assert api.post("/overland?user=bob", data=b"{").status_code == 200
    assert api.post("/owntracks", data=b"[", headers={"X-Limit-U": "bob"}).status_code == 200
    assert [reject["user_id"] for reject in db.rejects.find()] == ["bob", "bob"]


@pytest.mark.parametrize("odd", [7, None, {"geometry": {"type": "Point"}}, {"geometry": {}}])
def test_invalid_features_are_kept_and_do_not_stop_the_others(
    db: Database[Document], post: Post, odd: Any
) -> None:
    app = Overland(post)
    app.features = [odd, feature()]
    assert app.send()
    assert len(stored(db)) == db.rejects.count_documents({}) == 1


@pytest.mark.parametrize("field", ["lat", "lon", "tst", "acc", "vel", "tid", "topic", "_type"])
@pytest.mark.parametrize("value", [None, True, "x", -1e300, 1e300, [], {}])
def test_invalid_values_are_always_confirmed(post: Post, field: str, value: Any) -> None:
    app = OwnTracks(post)
    app.publish(message(**{field: value}))
    assert app.send()


@pytest.mark.parametrize("field", ["lat", "lon", "tst", "acc", "vel"])
def test_true_is_not_a_number(db: Database[Document], post: Post, field: str) -> None:
    app = OwnTracks(post)
    app.publish(message(**{field: True}))
    assert app.send()
    assert not stored(db)
    assert db.rejects.count_documents({}) == 1


def test_the_token_names_the_user(db: Database[Document]) -> None:
    post = post_with(create_app(Settings(auth="token"), db).test_client())
    token = tokens.add(db, "a1")
    track, batch = OwnTracks(post, token, **{"X-Limit-U": "bob"}), Overland(post, token)
    track.publish(message())
    batch.features = [feature(13)]
    assert track.send()
    assert batch.send()
    assert [fix[0] for fix in stored(db)] == ["a1", "a1"]


@pytest.mark.parametrize("token", ["", "x", "locapi_0123456789abcdef_" + "0" * 64])
def test_without_a_valid_token_nothing_is_taken(db: Database[Document], token: str) -> None:
    post = post_with(create_app(Settings(auth="token"), db).test_client())
    track = OwnTracks(post, token)
    track.publish(message())
    assert not track.send()
    assert db.fixes.find_one() is db.rejects.find_one() is None


@pytest.mark.parametrize("credentials", ["", "!", "YQ==", "/w=="])
def test_malformed_basic_credentials_are_unauthorized(
    db: Database[Document], credentials: str
) -> None:
    api = create_app(Settings(auth="token"), db).test_client()
    headers = {"Authorization": f"Basic {credentials}"}
    assert api.post("/owntracks", data=b"{}", headers=headers).status_code == 401


def test_token_as_basic_password_is_refused_by_put(db: Database[Document]) -> None:
    api = create_app(Settings(auth="token"), db).test_client()
    headers = OwnTracks(post_with(api), tokens.add(db, "a1")).headers
    assert api.put("/location", json={}, headers=headers).status_code == 401
