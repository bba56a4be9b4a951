"""Find out which user a request's token belongs to, mostly without asking the database."""

import base64
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from hmac import compare_digest
from typing import NamedTuple

import pymongo
from pymongo.database import Database

from locapi import times
from locapi.concurrency import greenlets
from locapi.concurrency.coalescing import MAX_WAITING, Coalescer
from locapi.errors import Forbidden, Unauthorized
from locapi.ingest import tokens
from locapi.storage import documents, driver_errors
from locapi.storage.documents import Document, Reads

TRUST_S = 30.0  # how long a process relies on what it read of a token
DEADLINE_S = 4
MAX_CACHED = 20_000  # about 8 MB

# RFC 9110: a scheme in any case, then spaces. What does not match costs no database command.
_BEARER = re.compile(r"(?i:bearer) +locapi_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)
_BASIC = re.compile(r"(?i:basic) +([A-Za-z0-9+/=]{1,1024})", re.ASCII)
_FOREVER = datetime.max.replace(tzinfo=UTC)
_NEVER = datetime.min.replace(tzinfo=UTC)


class _Cached(NamedTuple):
    """What a process remembers of a token."""

    user_id: str
    reads: Reads | None
    secret_sha256: bytes
    valid_until: datetime
    read_at: float


# Stands in for a token that does not exist, so that it is refused by the same steps.
_NO_TOKEN = _Cached("", None, secrets.token_bytes(32), _NEVER, 0.0)


class Authenticator:
    """Looks up the users of tokens; threads may share it.

    Tokens are cached for `TRUST_S`, so a token that was revoked is refused that much later at
    the latest.
    """

    def __init__(
        self,
        database: Database[Document],
        now: Callable[[], datetime] = times.utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = documents.tokens(database)
        self._now = now
        self._monotonic = monotonic
        self._cache: OrderedDict[str, _Cached] = OrderedDict()  # the least recently read first
        self._look_up = Coalescer(self._find)

    def user_for(self, authorization: str | None, *, basic: bool = False) -> str:
        """Return the user_id of the token in an Authorization header.

        With `basic`, the token may also be the password of HTTP Basic, with any user name.
        Raises Unauthorized if there is no valid token, Forbidden if it sends nothing, and
        DatabaseUnavailable or Overloaded if it could not be looked up.
        """
        token = self._find_valid(authorization or "", basic=basic)
        if not token.user_id:  # it reads all minutes
            raise Forbidden("this token may read minutes but not send fixes")
        return token.user_id

    def reader_for(self, authorization: str | None) -> str | None:
        """Return whose minutes the token may read; None means everybody's.

        The token may also be the password of HTTP Basic, with any user name. Raises what
        `user_for` raises, and Forbidden if the token reads nothing.
        """
        token = self._find_valid(authorization or "", basic=True)
        if token.reads is None:
            raise Forbidden("this token may not read minutes. See `locctl token add --read`.")
        return token.user_id if token.reads == "own" else None

    def _find_valid(self, authorization: str, *, basic: bool) -> _Cached:
        found = _BEARER.fullmatch(authorization)
        if found is None and basic:
            found = _BEARER.fullmatch(_from_basic(authorization))
        if found is None:
            raise Unauthorized("no token")
        token_id, secret = found.groups()
        cached = self._cache.get(token_id)
        if cached is None or self._monotonic() - cached.read_at >= TRUST_S:
            cached = self._read(token_id)
        matches = compare_digest(tokens.hash_secret(secret), cached.secret_sha256)
        if not matches or self._now() >= cached.valid_until:
            raise Unauthorized("not a valid token")
        return cached

    def _read(self, token_id: str) -> _Cached:
        read_at = self._monotonic()  # before the read, which may take long
        with driver_errors.translated(), pymongo.timeout(DEADLINE_S):
            document = self._look_up(token_id)
        if document is None:
            # Not cached, so that a token that is added now works now.
            self._cache.pop(token_id, None)
            return _NO_TOKEN
        valid_until = document["expires_at"] or _FOREVER
        if document["revoked_at"] is not None:
            valid_until = _NEVER
        cached = _Cached(
            document["user_id"],
            document.get("reads"),
            document["secret_sha256"],
            valid_until,
            read_at,
        )
        self._cache[token_id] = cached
        self._cache.move_to_end(token_id)
        if len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
        return cached

    @greenlets.run_in_thread
    def _find(self, token_ids: list[str]) -> list[documents.Token | None]:
        cursor = self._tokens.find({"_id": {"$in": token_ids}}, batch_size=MAX_WAITING)
        found = {document["_id"]: document for document in cursor}
        return [found.get(token_id) for token_id in token_ids]


def _from_basic(authorization: str) -> str:
    """Return the password of HTTP Basic as a bearer's header; empty if there is none."""
    found = _BASIC.fullmatch(authorization)
    try:
        pair = base64.b64decode(found[1], validate=True).decode() if found else ""
    except ValueError:
        return ""
    _, _, password = pair.partition(":")
    return f"Bearer {password}"
