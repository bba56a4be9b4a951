"""Who may send: a token names its user, and only a hash of its secret is kept.

A token reads `locapi_<id>_<secret>`: a word by which scanners know a leaked one, the
public key of its document, and 256 random bits. So much cannot be guessed from a fast
hash either; a slow one is for passwords, and each request would pay for it.
"""

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Literal, NamedTuple

import pymongo
from pymongo.database import Database

from locapi import greenlets, mongo
from locapi.errors import Unauthorized
from locapi.mongo import TOKENS, Document
from locapi.sharing import MAX_WAITING, Shared

TRUST_S = 30.0  # how long a process goes by what it read of a token
DEADLINE_S = 4
MAX_KNOWN = 20_000  # some 8 MB

# RFC 9110: the scheme in either case, then spaces. What does not match never reaches the database.
_BEARER = re.compile(r"(?i:bearer) +locapi_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)
_FOREVER = datetime.max.replace(tzinfo=UTC)
_NEVER = datetime.min.replace(tzinfo=UTC)


class Token(NamedTuple):
    """A token without its secret."""

    id: str
    user_id: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Return what the token is good for at this time."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


def utc_now() -> datetime:
    """Return the time by this host's clock."""
    return datetime.now(UTC)


def add(
    database: Database[Document],
    user_id: str,
    expires: timedelta | None = None,
    now: Callable[[], datetime] = utc_now,
) -> str:
    """Make a token of this user and return it: it cannot be read again."""
    token, document = make(user_id, expires, now())
    with mongo.translated_errors():
        database[TOKENS].insert_one(document)
    return token


def make(user_id: str, expires: timedelta | None, now: datetime) -> tuple[str, Document]:
    """Return a new token, and the document that is kept of it."""
    token_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    created_at = now.replace(microsecond=0)
    return f"locapi_{token_id}_{secret}", {
        "_id": token_id,
        "user_id": user_id,
        "secret_sha256": _hash(secret),
        "created_at": created_at,
        "expires_at": expires and created_at + expires,
        "revoked_at": None,
    }


def find(database: Database[Document], user_id: str | None = None) -> Iterator[Token]:
    """Yield the tokens, or those of one user, sorted by user and age; revoked ones too."""
    which = {} if user_id is None else {"user_id": user_id}
    with mongo.translated_errors():
        for document in database[TOKENS].find(which).sort(["user_id", "created_at", "_id"]):
            yield Token(document["_id"], *(document[name] for name in Token._fields[1:]))


def revoke(
    database: Database[Document], token_id: str, now: Callable[[], datetime] = utc_now
) -> bool:
    """Revoke a token for ever; return whether there is one. The first time is kept."""
    first = {"$ifNull": ["$revoked_at", now()]}
    with mongo.translated_errors():
        done = database[TOKENS].update_one({"_id": token_id}, [{"$set": {"revoked_at": first}}])
    return bool(done.matched_count)


class _Known(NamedTuple):
    """What a process remembers of a token: whose it is, and until when."""

    user_id: str
    secret_sha256: bytes
    good_until: datetime
    read_at: float


# Who bears no token that exists is refused by the same steps.
_NOBODY = _Known("", secrets.token_bytes(32), _NEVER, 0.0)


class Gate:
    """Tells whose token a request bears; may be shared by threads."""

    def __init__(
        self,
        database: Database[Document],
        now: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = database[TOKENS]
        self._now = now
        self._monotonic = monotonic
        self._known: OrderedDict[str, _Known] = OrderedDict()  # those read last stand last
        self._look_up = Shared(self._find)

    def sender(self, authorization: str | None) -> str:
        """Return the user whose token an Authorization header bears.

        Raises Unauthorized where there is no valid one, DatabaseUnavailable or
        Overloaded where that cannot be told. A token that was revoked is refused
        `TRUST_S` later at the latest.
        """
        found = _BEARER.fullmatch(authorization or "")
        if found is None:
            raise Unauthorized("no token")
        token_id, secret = found.groups()
        known = self._known.get(token_id)
        if known is None or self._monotonic() - known.read_at >= TRUST_S:
            known = self._read(token_id)
        right = compare_digest(_hash(secret), known.secret_sha256)
        if not right or self._now() >= known.good_until:
            raise Unauthorized("not a valid token")
        return known.user_id

    def _read(self, token_id: str) -> _Known:
        read_at = self._monotonic()  # before the read, for that may take long
        with mongo.translated_errors(), pymongo.timeout(DEADLINE_S):
            document = self._look_up(token_id)
        if document is None:
            # Not remembered: one that is added now shall work now.
            self._known.pop(token_id, None)
            return _NOBODY
        good_until = document["expires_at"] or _FOREVER
        if document["revoked_at"] is not None:
            good_until = _NEVER
        known = _Known(document["user_id"], document["secret_sha256"], good_until, read_at)
        self._known[token_id] = known
        self._known.move_to_end(token_id)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return known

    @greenlets.aside
    def _find(self, token_ids: list[str]) -> list[Document | None]:
        cursor = self._tokens.find({"_id": {"$in": token_ids}}, batch_size=MAX_WAITING)
        found = {document["_id"]: document for document in cursor}
        return [found.get(token_id) for token_id in token_ids]


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
