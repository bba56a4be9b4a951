"""A small part of `make fuzz`."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo.database import Database

from locapi.api.app import create_app
from locapi.storage.documents import Document
from tests.fuzz import throw
from tests.fuzz.contract import check
from tests.fuzz.serving import serving
from tests.support.depth import seed


@pytest.fixture(scope="module")
def url(mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(mongodb_uri, tmp_path_factory.mktemp("serve")) as url:
        yield url


def test_parser_and_openapi_document_agree_on_generated_bodies() -> None:
    report = throw.at_parser(seed("parser"), count=5_000)
    kinds = {"fix", "time out of range", "invalid field", "not a JSON object"}
    assert set(report.counts) == kinds
    assert min(report.counts.values()) > 50, str(report)


def test_application_responds_to_generated_bodies_with_200_or_400(db: Database[Document]) -> None:
    report = throw.at_application(create_app(database=db), seed("application"), count=1_000)
    assert set(report.counts) == {"200", "400"}
    assert db.fixes.count_documents({}) > 100


def test_server_survives_malformed_requests(url: str) -> None:
    report = asyncio.run(throw.at_socket(url, seed("socket"), count=300))
    assert report.counts["200"] > 5, str(report)
    assert report.counts["400"] > 20, str(report)


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_server_conforms_to_its_openapi_document(url: str, tmp_path: Path, mode: str) -> None:
    check(url, tmp_path, mode, examples=20, seed=seed(mode))
