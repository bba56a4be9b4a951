"""A database to restore into."""

from collections.abc import Iterator

import pytest
from pymongo.database import Database

from locapi.storage.documents import Document
from tests.conftest import fresh_database


@pytest.fixture
def target(mongodb_uri: str) -> Iterator[Database[Document]]:
    with fresh_database(mongodb_uri) as database:
        yield database
