"""Tokens are random, only their hashes are stored, and a revocation is final."""

import hashlib
from datetime import UTC, datetime, timedelta

from bson import BSON
from pymongo.database import Database

from locapi.ingest import tokens
from locapi.rollup.erase import erase
from locapi.storage.documents import Document

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_database_holds_only_the_hash_of_a_secret(db: Database[Document]) -> None:
    _, token_id, secret = tokens.add(db, "a1").split("_")
    stored = b"".join(
        BSON.encode(document) for name in db.list_collection_names() for document in db[name].find()
    )
    assert token_id.encode() in stored
    assert hashlib.sha256(secret.encode()).digest() in stored
    for shape in (secret.encode(), bytes.fromhex(secret), secret[:16].encode()):
        assert shape not in stored


def test_each_token_has_256_random_bits() -> None:
    secrets = {tokens.make("a1", None, NOW)[0].rpartition("_")[2] for _ in range(1000)}
    assert len(secrets) == 1000
    assert {len(secret) for secret in secrets} == {256 // 4}


def test_revocation_keeps_its_first_time(db: Database[Document]) -> None:
    token_id = tokens.add(db, "a1").split("_")[1]
    later = NOW + timedelta(hours=1)
    assert tokens.revoke(db, token_id, now=lambda: NOW)
    assert tokens.revoke(db, token_id, now=lambda: later)
    (listed,) = tokens.find(db)
    assert (listed.revoked_at, listed.state(later)) == (NOW, "revoked")
    assert not tokens.revoke(db, "0" * 16)


def test_erasing_a_user_deletes_the_users_tokens_only(db: Database[Document]) -> None:
    for user_id in ("a1", "a2"):
        tokens.add(db, user_id)
    erase(db, "a1")
    assert [each.user_id for each in tokens.find(db)] == ["a2"]
