"""Make, list and revoke API tokens, of which the database keeps only a hash.

A token reads `locapi_<id>_<secret>`: a prefix by which secret scanners recognize a leaked one,
the key of its document, and 256 random bits. A secret that random cannot be guessed from a fast
hash; a slow hash is for passwords, and would slow down each request.
"""

import secrets
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal, NamedTuple

from pymongo.database import Database

from locapi import times
from locapi.storage import documents, driver_errors
from locapi.storage.documents import Document, Reads


class Token(NamedTuple):
    """A token without its secret; times are UTC."""

    id: str
    user_id: str
    reads: Reads | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Return whether the token is valid at this time, or why not."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


def add(
    database: Database[Document],
    user_id: str,
    expires: timedelta | None = None,
    now: Callable[[], datetime] = times.utc_now,
    reads: Reads | None = None,
) -> str:
    """Store a new token of this user and return it; it cannot be read again.

    One that reads all minutes belongs to no user: its user_id is empty, so it sends nothing.
    """
    token, document = make(user_id, expires, now(), reads)
    with driver_errors.translated():
        documents.tokens(database).insert_one(document)
    return token


def make(
    user_id: str, expires: timedelta | None, now: datetime, reads: Reads | None = None
) -> tuple[str, documents.Token]:
    """Return a new token and its document."""
    token_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    created_at = now.replace(microsecond=0)
    return f"locapi_{token_id}_{secret}", {
        "_id": token_id,
        "user_id": user_id,
        "reads": reads,
        "secret_sha256": hash_secret(secret),
        "created_at": created_at,
        "expires_at": None if expires is None else created_at + expires,
        "revoked_at": None,
    }


def hash_secret(secret: str) -> bytes:
    """Return the hash of a token's secret."""
    return sha256(secret.encode()).digest()


def find(database: Database[Document], user_id: str | None = None) -> Iterator[Token]:
    """Yield all tokens, or those of one user, sorted by user and age; revoked tokens too."""
    query = {} if user_id is None else {"user_id": user_id}
    with driver_errors.translated():
        for document in (
            documents.tokens(database).find(query).sort(["user_id", "created_at", "_id"])
        ):
            yield Token(
                document["_id"],
                document["user_id"],
                document.get("reads"),
                document["created_at"],
                document["expires_at"],
                document["revoked_at"],
            )


def revoke(
    database: Database[Document], token_id: str, now: Callable[[], datetime] = times.utc_now
) -> bool:
    """Revoke a token for ever and return whether it exists; a repeat keeps the first time."""
    first = {"$ifNull": ["$revoked_at", now()]}
    with driver_errors.translated():
        done = documents.tokens(database).update_one(
            {"_id": token_id}, [{"$set": {"revoked_at": first}}]
        )
    return bool(done.matched_count)
