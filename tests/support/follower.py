"""A copy of the minutes that is kept by what changed, as a warehouse keeps it."""

from pymongo.database import Database

from locapi.exporters.changes import START, Token, parse_token, read_changes
from locapi.exporters.query import read_pages
from locapi.storage.documents import Document


class Follower:
    """A table that begins empty, and the token of the last read."""

    def __init__(self) -> None:
        self.rows: dict[str, Document] = {}
        self.token: Token = START

    def follow(self, db: Database[Document]) -> None:
        """Read what changed, apply it in order, and keep the next token as text would."""
        changed = read_changes(db, self.token)
        for user_id in changed.minutes.erased or ():
            self.rows = {key: row for key, row in self.rows.items() if not _is_of(key, user_id)}
        for page in changed.minutes.pages:
            self.rows.update({row["_id"]: row for row in page})
        self.token = parse_token(str(changed.token))

    def differences(self, db: Database[Document]) -> list[str]:
        """Return the ids of rows that a full export has differently, or only one of the two."""
        full = {row["_id"]: row for page in read_pages(db) for row in page}
        both = full.keys() | self.rows.keys()
        return [key for key in both if full.get(key) != self.rows.get(key)]


def _is_of(minute_id: str, user_id: str) -> bool:
    return minute_id.startswith(f"{user_id}\t")
