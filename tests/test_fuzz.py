"""A share of what `make fuzz` throws: every answer is the contract's."""

import asyncio
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pymongo.database import Database

from locapi.app import create_app
from locapi.mongo import Document
from locapi.server import Server
from tests.conftest import a_fix
from tests.fuzz import throw
from tests.fuzz.contract import check
from tests.fuzz.serving import serving
from tests.test_end_to_end import DEADLINE_S, ask

VERDICTS = {"fix", "time out of range", "rules broken", "no JSON object"}


def test_five_thousand_bodies_get_the_verdict_that_the_document_says() -> None:
    report = throw.at_parser(seed=1, count=5_000)
    assert set(report.verdicts) == VERDICTS
    assert min(report.verdicts.values()) > 50, str(report)


def test_a_thousand_bodies_get_200_or_400_of_the_application(db: Database[Document]) -> None:
    report = asyncio.run(throw.at_application(Server(create_app(database=db)), 1, 1_000))
    assert set(report.verdicts) == {"200", "400"}
    assert db.fixes.count_documents({}) > 100


def test_a_server_answers_or_closes_whatever_is_sent_and_lives(
    mongodb_uri: str, tmp_path: Path
) -> None:
    with serving(mongodb_uri, tmp_path / "serve.log") as url:
        report = asyncio.run(throw.at_socket(url, seed=1, count=300))
    assert report.verdicts["200"] > 5, str(report)
    assert report.verdicts["400"] > 20, str(report)


def test_a_client_that_pipelines_and_leaves_is_no_fault_of_the_server(
    mongodb_uri: str, tmp_path: Path
) -> None:
    body = json.dumps(a_fix()).encode()
    head = b"PUT /location HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving(mongodb_uri, tmp_path / "serve.log") as url:  # which fails for a traceback
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as connection:
                connection.settimeout(DEADLINE_S)
                connection.sendall((head + body) * 2)
        assert ask(url, "GET", "/health") == (200, {"status": "ok"})


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_a_server_does_what_its_document_says(mongodb_uri: str, tmp_path: Path, mode: str) -> None:
    with serving(mongodb_uri, tmp_path / "serve.log") as url:
        check(url, tmp_path, mode, examples=20)
