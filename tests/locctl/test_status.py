"""`locctl status` once: its text, its JSON and its exit code."""

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from bson import Timestamp
from click.testing import CliRunner, Result
from locctl import status_report
from locctl.commands.status import show_status, to_json
from locctl.screen import Line
from pymongo.database import Database

from locapi.monitoring import status
from locapi.monitoring.health_checks import CODES, Problem, find_problems
from locapi.monitoring.ingest_rate import Rates
from locapi.monitoring.sampler import Sample
from locapi.monitoring.status import Status
from locapi.storage.documents import Document
from tests.conftest import ROOT
from tests.support.statuses import AT, DISK, LAG, WELL

AWAY = Problem("database_away", "the database does not answer; check that it runs")
AWAY_STATUS = Status(AT, "locapi", "mongodb://db", error=AWAY.message)
RATES = Rates(812.54, 42, 300)
RESPONSES = {"stored": 812.5, "duplicate": 0.0, "ok": 2.0, "overloaded": 0.0, "internal_error": 0.1}


def text(lines: list[Line]) -> str:
    return "\n".join(line.text for line in lines)


def rows_of(status: Status) -> dict[str, str]:
    return dict(status_report.rows(status))


def test_manual_shows_the_text_and_documents_each_key_and_code() -> None:
    page = "".join((ROOT / "docs" / name).read_text() for name in ("OPERATIONS.md", "REFERENCE.md"))
    found = replace(
        WELL,
        where="mongodb://***@mongo:27017/?***",
        users=21,
        rollup_lag_s=31.0,
        rolled_up_at=AT - timedelta(seconds=31),
        pruned_at=AT - timedelta(seconds=29),
    )
    report = text(status_report.lines(found, find_problems(found, LAG)))
    assert f"```text\n{report}\n```\n" in page
    values = json.loads(to_json(Status(AT, "x", "y", disk=DISK), []))
    keys = {*values, *(f"disk.{name}" for name in values["disk"])} - {"disk"}
    for first_header, names in (("key", keys), ("code", set(CODES))):
        table = re.search(
            rf"^\| {first_header} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", page, re.MULTILINE
        )
        assert table, first_header
        rows = re.findall(r"^\| ([^|]*) \|", table[1], re.MULTILINE)
        assert {name for row in rows for name in re.findall(r"`([\w.]+)`", row)} == names


def test_values_that_are_none_or_unknown_are_explained() -> None:
    new = Status(AT, "locapi", "x", raw_fixes=0, minutes=0, users=2, users_complete=False)
    assert rows_of(new) == {
        "database": "locapi, x",
        "raw fixes": "0",
        "minutes": "0",
        "users": "2 or more",
        "newest raw fix": "none",
        "oldest raw fix": "none",
        "roll-up": "lag 0 s, never finished",
        "last prune": "never",
        "disk": "unknown, as this database user has no right to dbStats",
    }
    assert list(rows_of(Status(AT, "locapi", "x", missing_indexes=("y",)))) == ["database", "disk"]


def test_json_has_times_as_text_and_problems() -> None:
    late = replace(WELL, rollup_lag_s=7_200.0)
    problems = find_problems(late, LAG)
    values = json.loads(to_json(late, problems))
    expected = {
        "ok": False,
        "attention": [{"code": "rollup_lags", "message": problems[0].message}],
        "reachable": True,
        "at": "2026-01-02T03:04:05Z",
        "raw_fixes": 7_620,
        "rollup_lag_s": 7_200.0,
        "missing_indexes": [],
        "disk": dataclasses.asdict(DISK),
        "pruned_at": "2026-01-02T03:03:06Z",
    }
    assert {**values, **expected} == values


def test_live_screen_shows_rates_status_and_problems() -> None:
    sample = Sample(replace(WELL, users=None), [], RATES, RESPONSES)
    assert text(status_report.live_lines(sample)) == (
        "2026-01-02T03:04:05Z  (Ctrl-C to stop)\n"
        "\n"
        "active users      42 users in 5 min\n"
        "fixes/s           812.5 (mean of 10 s)\n"
        "responses/s       stored 812.5, duplicate 0.0, internal_error 0.1\n"
        "database          locapi, mongodb://db (MongoDB 8.0.4)\n"
        "raw fixes         7,620\n"
        "minutes           1,409\n"
        "newest raw fix    received 2026-01-02T03:04:03Z, 2 s ago\n"
        "oldest raw fix    received 2025-12-26T03:04:05Z, 7 d ago\n"
        "roll-up           lag 10 min, last one started 2026-01-02T02:53:55Z, 10 min ago\n"
        "last prune        finished 2026-01-02T03:03:06Z, 59 s ago, deleted 312 raw fixes\n"
        "disk              12.3 MB data, 3.4 MB indexes; 76.8 GB of 270.6 GB free\n"
        "\n"
        "no problems found"
    )
    sample = Sample(AWAY_STATUS, [AWAY], api_error="the API does not respond (timed out)")
    assert text(status_report.live_lines(sample)) == (
        "2026-01-02T03:04:05Z  (Ctrl-C to stop)\n"
        "\n"
        "responses/s       the API does not respond (timed out)\n"
        "database          locapi, mongodb://db\n"
        "\n"
        "1 problem found:\n"
        "- the database does not answer; check that it runs"
    )


@pytest.mark.parametrize(
    ("sample", "line"),
    [
        (
            Sample(WELL, [], RATES),
            "2026-01-02T03:04:05Z  812.5 fixes/s  42 users in 5 min  lag 10 min  no problems found",
        ),
        (
            Sample(WELL, [], RATES, {"stored": 3.0}),
            "2026-01-02T03:04:05Z  812.5 fixes/s  42 users in 5 min  lag 10 min  "
            "responses/s: stored 3.0  no problems found",
        ),
        (
            Sample(AWAY_STATUS, [AWAY]),
            "2026-01-02T03:04:05Z  the database does not answer; check that it runs",
        ),
    ],
)
def test_one_line_has_the_most_important_values(sample: Sample, line: str) -> None:
    assert status_report.one_line(sample) == line


def test_long_line_continues_under_its_column() -> None:
    (name, words) = "database          ", "word " * 5 + "word"
    wrapped = Line(f"{name}{words} {words}", indent=18).wrapped(50)
    assert [line.text for line in wrapped] == [name + words, " " * 18 + words]


Run = Callable[..., Result]


@pytest.fixture
def run(db: Database[Document], mongodb_uri: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on a machine with enough space on its disk."""
    monkeypatch.setattr(status, "read_disk", lambda _: DISK)

    def run(*arguments: str, color: bool = False, **changed: str) -> Result:
        environ = {"MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": db.name, **changed}
        return CliRunner().invoke(show_status, arguments, env=environ, color=color)

    return run


def test_command_exits_1_if_there_is_a_problem(run: Run, db: Database[Document]) -> None:
    good = run()
    assert (good.exit_code, good.stderr) == (0, "")
    assert good.stdout.endswith("\n\nno problems found\n")
    db.fixes.insert_one({"_id": "a\t1", "slice": 0, "received_at": Timestamp(AT, 1)})
    bad = run("--max-lag", "1h")
    assert (bad.exit_code, bad.stderr) == (1, "")
    assert "\n\n1 problem found:\n- fixes have been waiting for " in bad.stdout
    values = json.loads(run("--json").stdout)
    assert (values["ok"], values["attention"][0]["code"]) == (False, "never_rolled_up")


def test_colours_are_for_terminals_and_can_be_switched_off(run: Run) -> None:
    assert "\x1b[32mno problems found\x1b[0m\n" in run(color=True).stdout
    assert "\x1b" not in run(color=True, NO_COLOR="1").stdout
    assert "\x1b" not in run().stdout


def test_unavailable_database_is_reported_without_its_password(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "DEADLINE_S", 0.5)
    uri = "mongodb://kim:secret-7@127.0.0.1:1/?serverSelectionTimeoutMS=100"
    away = run(MONGODB_URI=uri, LOCAPI_DATABASE="locapi")
    assert (away.exit_code, away.stdout.splitlines()[:3]) == (
        1,
        ["database          locapi, mongodb://***@127.0.0.1:1/?***", "", "1 problem found:"],
    )
    assert "127.0.0.1:1: [Errno 111] Connection refused" in away.stdout
    values = json.loads(run("--json", MONGODB_URI=uri).stdout)
    assert (values["reachable"], values["raw_fixes"]) == (False, None)
    assert [each["code"] for each in values["attention"]] == ["database_away"]
    assert "secret-7" not in str(values) + away.output


def test_embedded_database_is_not_created(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "none"
    result = run(MONGODB_URI="", LOCAPI_DATA_DIR=str(home))
    assert result.exit_code == 1
    assert f"there is no embedded database in {home} yet. Start `locctl serve`" in result.stdout
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--watch", "2", "--json"], "--json cannot be combined with --watch"),
        (["--api", "http://127.0.0.1:5000"], "--api needs --watch"),
        (["--watch", "0"], "'0' is not valid. Write a number, 1 or more."),
        (["--watch", "soon"], "'soon' is not valid. Write a number, 1 or more."),
        (["--max-lag", "10"], "'10' is not a duration"),
    ],
)
def test_misuse_exits_2(run: Run, arguments: list[str], message: str) -> None:
    misused = run(*arguments)
    assert misused.exit_code == 2
    assert message in misused.stderr
