"""A share of what `make fuzz` throws: every answer is the contract's."""

import asyncio
from pathlib import Path

import pytest
from pymongo.database import Database

from locapi.app import create_app
from locapi.mongo import Document
from locapi.server import Server
from tests.fuzz import throw
from tests.fuzz.contract import check
from tests.fuzz.serving import serving

VERDICTS = {"fix", "time out of range", "rules broken", "no JSON object"}


def test_twenty_thousand_bodies_get_the_verdict_that_the_document_says() -> None:
    report = throw.at_parser(seed=1, count=20_000)
    assert set(report.verdicts) == VERDICTS
    assert min(report.verdicts.values()) > 500, str(report)


def test_a_thousand_bodies_get_200_or_400_of_the_application(db: Database[Document]) -> None:
    report = asyncio.run(throw.at_application(Server(create_app(database=db)), 1, 1_000))
    assert set(report.verdicts) == {"200", "400"}
    assert db.fixes.count_documents({}) > 100


def test_a_server_answers_or_closes_whatever_is_sent_and_lives(
    mongodb_uri: str, tmp_path: Path
) -> None:
    with serving(mongodb_uri, tmp_path / "serve.log") as url:
        report = asyncio.run(throw.at_socket(url, seed=1, count=300))
    assert report.verdicts["200"] > 20, str(report)
    assert report.verdicts["400"] > 20, str(report)


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_a_server_does_what_its_document_says(mongodb_uri: str, tmp_path: Path, mode: str) -> None:
    with serving(mongodb_uri, tmp_path / "serve.log") as url:
        check(url, tmp_path, mode, examples=20)
