"""Minutes to export."""

from collections.abc import Callable

import pytest
from pymongo.database import Database

from locapi.rollup.fold import fold_new_fixes
from locapi.storage.documents import Document
from tests.conftest import Send

Fold = Callable[..., None]


@pytest.fixture
def fold(db: Database[Document], send: Send) -> Fold:
    """Send a user's fixes of 2017, and fold them."""

    def fold(*times: str, user_id: str = "a") -> None:
        for time in times:
            send(f"2017-{time}", user_id=user_id)
        fold_new_fixes(db)

    return fold
