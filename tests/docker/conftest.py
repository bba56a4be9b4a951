"""One running stack for all tests here, started as on a fresh clone."""

from collections.abc import Iterator

import pytest

from tests.support.compose import Stack

SERVICES = ("api", "mongo", "rollup")


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack("locapi-test", tmp_path_factory.mktemp("stack"))
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
