"""One stack for all tests here, on a volume of its own, and gone at the end."""

from collections.abc import Iterator

import pytest

from tests.docker.stack import compose, run, up


@pytest.fixture(scope="package", autouse=True)
def stack() -> Iterator[None]:
    run("docker/secrets.sh")
    compose("down", "--volumes")  # what a killed run left
    try:
        up()
        yield
    finally:
        compose("down", "--volumes")
