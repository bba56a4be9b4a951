"""`locctl token`: a token is shown once, listed without its secret, and revoked."""

import re
from collections.abc import Callable
from datetime import datetime

import pytest
from click.testing import CliRunner, Result
from locctl.commands.token import token
from pymongo.database import Database

from locapi.storage.documents import Document

Run = Callable[..., Result]


@pytest.fixture
def run(db: Database[Document], mongodb_uri: str) -> Run:
    def run(*arguments: str) -> Result:
        environ = {"MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": db.name}
        return CliRunner().invoke(token, arguments, env=environ)

    return run


def test_token_is_printed_once_listed_without_its_secret_and_revoked(run: Run) -> None:
    added = run("add", "--user", "a1", "--expires", "90d")
    assert (added.exit_code, added.stderr) == (0, "Save it now: it cannot be shown again.\n")
    found = re.fullmatch(r"locapi_([0-9a-f]{16})_([0-9a-f]{64})\n", added.stdout)
    assert found
    run("add", "--user", "ü 2")
    listed = run("list")
    assert found[2] not in listed.output
    header, first, second = (line.split("\t") for line in listed.stdout.splitlines())
    assert header == ["id", "user", "created", "expires", "state", "reads"]
    assert (first[0], first[1], first[4]) == (found[1], "a1", "active")
    created, expires = (datetime.fromisoformat(time) for time in first[2:4])
    assert (expires - created).days == 90
    assert (second[1], second[3], second[4]) == ("ü 2", "never", "active")
    assert len(run("list", "--user", "ü 2").stdout.splitlines()) == 2

    revoked = run("revoke", found[1])
    assert (revoked.exit_code, revoked.stdout) == (0, "")
    states = {line.split("\t")[0]: line.split("\t")[4] for line in run("list").stdout.splitlines()}
    assert (states[found[1]], states[second[0]]) == ("revoked", "active")


def test_tokens_that_read_are_listed_as_such(run: Run) -> None:
    for options in (["--user", "a1"], ["--user", "a2", "--read"], ["--read-all"]):
        assert run("add", *options).exit_code == 0
    rows = [line.split("\t") for line in run("list").stdout.splitlines()[1:]]
    assert [(row[1], row[5]) for row in rows] == [("", "all"), ("a1", "none"), ("a2", "own")]


def test_unknown_token_cannot_be_revoked_and_is_not_repeated(run: Run) -> None:
    failed = run("revoke", f"locapi_{'0' * 16}_{'1' * 64}")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr == "Error: there is no token with this id. See `locctl token list`.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add"], "give --user"),
        (["add", "--user", "a1", "--read-all"], "or --read-all alone"),
        (["add", "--read"], "give --user"),
        (["add", "--user", ""], "must be a string of 1 to 128 characters"),
        (["add", "--user", "u" * 129], "must be a string of 1 to 128 characters"),
        (["add", "--user", "a\tb"], "must not contain control characters"),
        (["add", "--user", "a\udcff"], "must not contain control characters or lone surrogates"),
        (["add", "--user", "a1", "--expires", "0s"], "Write a longer time"),
        (["add", "--user", "a1", "--expires", "soon"], "'soon' is not a duration"),
        (["list", "--user", ""], "must be a string of 1 to 128 characters"),
        (["revoke"], "Missing argument 'ID'"),
    ],
)
def test_misuse_exits_2_and_creates_nothing(
    db: Database[Document], run: Run, arguments: list[str], said: str
) -> None:
    misused = run(*arguments)
    assert (misused.exit_code, misused.stdout) == (2, "")
    assert said in misused.stderr
    assert db.tokens.count_documents({}) == 0
