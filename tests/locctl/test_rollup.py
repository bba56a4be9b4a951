"""`locctl rollup`, `prune`, `verify`, `erase` and `init`, run as a user runs them."""

import json
import re
import signal
import subprocess
from typing import Any

import pytest
from pymongo.database import Database

from locapi.storage.documents import Document
from tests.conftest import Locctl, Send
from tests.support.processes import LOCCTL
from tests.support.terminal import Terminal

MINUTE = "a1\t2017-01-01T18:05"


def test_rollup_reports_new_fixes_to_stderr(send: Send, locctl: Locctl) -> None:
    send()
    done = locctl("rollup")
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(r"Folded 1 new fix in \d+\.\d\d s\.\n", done.stderr)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_watching_rollup_folds_until_it_is_stopped(
    db: Database[Document], send: Send, environ: dict[str, str], number: int, code: int
) -> None:
    watching: Any = subprocess.Popen(
        [LOCCTL, "rollup", "--watch", "0.05"], env=environ, stderr=subprocess.PIPE, text=True
    )
    with watching:
        for fixes in (1, 2):
            send(f"2017-01-01 13:05:1{fixes}.5")
            for line in watching.stderr:
                assert json.loads(line)["message"].startswith("Folded ")
                if db.minutes.find_one({"count": fixes}):
                    break
        watching.send_signal(number)
        rest = watching.stderr.read()
    assert watching.returncode == code
    assert "Traceback" not in rest
    assert [minute["count"] for minute in db.minutes.find()] == [2]


def test_a_watching_rollup_survives_an_error_and_waits_longer_after_each(
    db: Database[Document], send: Send, environ: dict[str, str]
) -> None:
    send()
    watching: Any = subprocess.Popen(
        [LOCCTL, "rollup", "--watch", "0.05"], env=environ, stderr=subprocess.PIPE, text=True
    )
    with watching:
        messages = (json.loads(line)["message"] for line in watching.stderr)
        next(each for each in messages if each.startswith("Folded 1 "))
        db.drop_collection("minutes")
        db.command("create", "minutes", viewOn="fixes")  # which refuses every write
        failed = next(each for each in messages if not each.startswith("Folded "))
        assert failed.startswith("roll-up: the database refused")
        assert failed.endswith("trying again in 0.1 s")
        db.drop_collection("minutes")
        send("2017-01-01 13:06:12")
        next(each for each in messages if each.startswith("Folded "))
        assert db.minutes.find_one() is not None
        watching.terminate()
    assert watching.returncode == 143


def test_rollup_prunes_after_it_folded(db: Database[Document], send: Send, locctl: Locctl) -> None:
    send()
    done = locctl("rollup", "--prune-older-than", "0s")
    assert done.returncode == 0
    assert done.stderr.endswith(" s.\nDeleted 1 raw fix; kept 0 newer.\n")
    assert [minute["count"] for minute in db.minutes.find()] == [1]


def test_prune_reports_what_it_deleted_and_what_it_kept(
    db: Database[Document], send: Send, locctl: Locctl
) -> None:
    send("2017-01-01 13:05:12")
    locctl("rollup")
    send("2017-01-01 13:06:12")
    dry = locctl("prune", "--older-than", "0s", "--dry-run")
    assert dry.stderr == ("Would delete 1 raw fix; keep 0 newer and 1 that are not folded yet.\n")
    young = locctl("prune", "--older-than", "36500d")
    assert young.stderr == "Deleted 0 raw fixes; kept 2 newer.\n"
    pruned = locctl("prune", "--older-than", "0s")
    assert (pruned.returncode, pruned.stdout) == (0, "")
    assert pruned.stderr == "Deleted 2 raw fixes; kept 0 newer.\n"
    assert db.fixes.find_one() is None
    assert db.minutes.count_documents({}) == 2


def test_verify_exits_1_while_a_minute_is_wrong(
    db: Database[Document], send: Send, locctl: Locctl
) -> None:
    send()
    locctl("rollup")
    checked = locctl("verify")
    assert (checked.returncode, checked.stdout) == (0, "")
    assert checked.stderr == (
        "Checked 1 minute and 1 raw fix: 1 proven by all their fixes, 0 drifted, 0 repaired.\n"
    )
    db.minutes.update_one({}, {"$set": {"lat": 1.0}})
    fault = f"{MINUTE}\thas lat 1.0; it should be 40.7"
    wrong = locctl("verify")
    assert (wrong.returncode, wrong.stdout) == (1, f"{fault}\n")
    repaired = locctl("verify", "--repair")
    assert (repaired.returncode, repaired.stdout) == (0, f"{fault} (repaired)\n")
    assert locctl("verify").returncode == 0


def test_erase_reports_what_it_removed(db: Database[Document], send: Send, locctl: Locctl) -> None:
    send()
    send(user_id="a2")
    locctl("rollup")
    erased = locctl("erase", "a1")
    assert (erased.returncode, erased.stdout) == (0, "")
    assert erased.stderr == "Removed 1 raw fix and 1 minute.\n"
    assert [minute["user_id"] for minute in db.minutes.find()] == ["a2"]


def test_erase_of_an_unknown_user_exits_1_and_says_so(
    db: Database[Document], send: Send, locctl: Locctl
) -> None:
    send()
    erased = locctl("erase", "a")
    assert (erased.returncode, erased.stderr) == (1, "Error: no such user: a\n")
    assert db.tombstones.find_one() is None


@pytest.mark.parametrize(("answer", "left"), [("n\n", 1), ("y\n", 0)])
def test_erase_asks_on_a_terminal(
    db: Database[Document], send: Send, environ: dict[str, str], answer: str, left: int
) -> None:
    send()
    with Terminal([str(LOCCTL), "erase", "a1"], environ) as terminal:
        terminal.read_until(lambda _: "tokens of user a1? [y/N]" in terminal.sent)
        terminal.type(answer)
        assert terminal.process.wait(timeout=60) == left
    assert db.fixes.count_documents({}) == left


def test_erase_does_not_ask_with_yes(
    db: Database[Document], send: Send, environ: dict[str, str]
) -> None:
    send()
    with Terminal([str(LOCCTL), "erase", "--yes", "a1"], environ) as terminal:
        assert terminal.process.wait(timeout=60) == 0
    assert db.fixes.find_one() is None


def test_verify_names_the_remedy_where_an_index_is_missing(
    db: Database[Document], send: Send, locctl: Locctl
) -> None:
    send()
    db.fixes.drop_indexes()
    checked = locctl("verify")
    assert checked.returncode == 1
    assert "has no index that this needs" in checked.stderr
    assert "`locctl init`" in checked.stderr
    locctl("init")
    assert locctl("verify").returncode == 0


def test_init_reports_differences_and_exits_1_while_one_is_left(
    db: Database[Document], locctl: Locctl
) -> None:
    db.client.drop_database(db.name)
    checked = locctl("init", "--check")
    assert (checked.returncode, checked.stderr) == (
        1,
        "16 differences, 16 left to repair: run `locctl init`\n",
    )
    repaired = locctl("init")
    assert (repaired.returncode, repaired.stderr) == (0, "16 differences, 0 left to repair\n")
    lines = checked.stdout.splitlines()
    assert repaired.stdout.splitlines() == [f"{line} (repaired)" for line in lines]
    assert "fixes\thas no index slice_1_received_at_1" in lines
    again = locctl("init", "--check")
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr == "0 differences, 0 left to repair\n"
