"""Who gets in: to the database with a password from a secret, to the API with a token."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docker.stack import (
    PROJECT,
    SERVICES,
    compose,
    compose_command,
    container,
    inside,
    locctl,
    put,
    run,
    up,
)

FORMER = "locapi-former"
AS_LOCAPI = """
db.getSiblingDB("locapi").auth(
  "locapi", fs.readFileSync("/run/secrets/mongodb_locapi_password", "utf8").trim());
"""


def mongosh(script: str, project: str = PROJECT) -> str:
    """Run a script beside mongod; return what it printed, errors too."""
    command = ["exec", "-T", "mongo", "mongosh", "--quiet", "--norc", "--eval", script]
    done = subprocess.run(
        compose_command(*command, project=project),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout


def secrets() -> list[str]:
    found = [path.read_text().strip() for path in (ROOT / "docker" / "secrets").iterdir()]
    assert len(found) == 3
    return found


def test_who_does_not_log_in_is_refused() -> None:
    assert "requires authentication" in mongosh('db.getSiblingDB("locapi").fixes.findOne()')
    inside_the_network = (
        "import pymongo; pymongo.MongoClient('mongodb://mongo/?replicaSet=rs0').locapi.fixes.{}"
    )
    for call in ("find_one()", "insert_one({})"):
        done = subprocess.run(
            compose_command("exec", "-T", "api", "python", "-c", inside_the_network.format(call)),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert "requires authentication" in done.stderr


def test_the_user_of_locapi_may_do_its_work_and_nothing_else() -> None:
    commands = [
        'db.getSiblingDB("other").things.findOne()',
        'db.getSiblingDB("other").things.insertOne({})',
        'db.getSiblingDB("admin").system.users.findOne()',
        'db.getSiblingDB("local").oplog.rs.findOne()',
        'db.getSiblingDB("locapi").createUser({user: "x", pwd: "y", roles: []})',
        'db.getSiblingDB("locapi").updateUser("locapi", {roles: ["dbOwner"]})',
        'db.getSiblingDB("locapi").fixes.updateOne({}, {$set: {lat: 0}})',
        'db.getSiblingDB("locapi").fixes.drop()',
        'db.getSiblingDB("locapi").dropDatabase()',
        "db.adminCommand({shutdown: 1})",
        'db.getSiblingDB("locapi").fixes.findOne()',
    ]
    tried = [
        f'try {{ {command}; print("done") }} catch (error) {{ print(error.codeName) }}'
        for command in commands
    ]
    answers = mongosh(AS_LOCAPI + "\n".join(tried)).split()[-len(commands) :]

    assert answers == ["Unauthorized"] * (len(commands) - 1) + ["done"]


def test_no_password_shows_in_settings_processes_or_logs() -> None:
    seen = compose("logs", "--no-log-prefix") + compose("config")
    for service in SERVICES:
        seen += run("docker", "inspect", container(service))
    check = subprocess.Popen(
        compose_command("exec", "-T", "mongo", "mongosh", "--quiet", "/locapi/ready.js"), cwd=ROOT
    )
    shown = ""
    while check.poll() is None:
        shown += run("docker", "top", container("mongo"), "-eo", "pid,args")
    assert check.returncode == 0
    assert "ready.js" in shown
    assert not any(secret in seen + shown for secret in secrets())


def test_a_changed_password_and_lost_rights_are_made_good() -> None:
    as_root = """
    const root = db.getSiblingDB("admin");
    root.auth("root", fs.readFileSync("/run/secrets/mongodb_root_password", "utf8").trim());
    """
    harm = """
    db.getSiblingDB("locapi").updateUser("locapi", {pwd: "other"});
    db.getSiblingDB("locapi").updateRole("locapi", {privileges: []});
    """
    mongosh(as_root + harm)
    assert "Authentication failed" in mongosh(AS_LOCAPI)

    inside("mongo", "mongosh", "--quiet", "/locapi/ready.js")  # as the health check does

    assert put(user_id="healed") == (200, "stored")


def test_with_tokens_only_their_bearers_may_send() -> None:
    up(LOCAPI_AUTH="token")
    try:
        token = locctl("token", "add", "--user", "bearer").strip()
        assert put(user_id="bearer") == (401, "unauthorized")
        assert put(token, user_id="bearer") == (200, "stored")
        assert put(token, user_id="other") == (403, "forbidden")
    finally:
        up()
    assert put(user_id="other") == (200, "stored")


def test_without_secrets_compose_says_which_file_is_not_there(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    command = ["docker", "compose", "-p", "locapi-bare"]
    try:
        done = subprocess.run(
            [*command, "up", "--detach", "mongo"], cwd=tmp_path, capture_output=True, text=True
        )
    finally:
        subprocess.run([*command, "down", "--volumes"], cwd=tmp_path, capture_output=True)
    assert done.returncode != 0
    assert f"path does not exist: {tmp_path}/docker/secrets/mongodb_" in done.stderr


@pytest.fixture
def former_volume() -> Iterator[None]:
    """Make a volume as it was before there were users, with one document."""
    compose("down", "--volumes", project=FORMER)
    without_users = ["mongod", "--replSet", "rs0", "--wiredTigerCacheSizeGB", "0.25"]
    fork = ["--fork", "--logpath", "/tmp/log", "--bind_ip_all"]
    fill = """
    rs.initiate({_id: "rs0", members: [{_id: 0, host: "mongo:27017"}]});
    while (!db.hello().isWritablePrimary) sleep(100);
    db.getSiblingDB("locapi").fixes.insertOne({_id: "kept"});
    db.getSiblingDB("admin").shutdownServer();
    """
    script = f"{' '.join(without_users + fork)} && HOME=/tmp mongosh --quiet --eval '{fill}'"
    run_once = ["run", "--rm", "--no-deps", "-T", "--entrypoint", "bash", "mongo", "-c", script]
    try:
        subprocess.run(compose_command(*run_once, project=FORMER), cwd=ROOT, timeout=120)
        yield
    finally:
        compose("down", "--volumes", project=FORMER)


@pytest.mark.usefixtures("former_volume")
def test_a_volume_of_before_there_were_users_gets_them_and_keeps_its_data() -> None:
    compose("up", "--detach", "--wait", "mongo", project=FORMER)

    find = 'print(JSON.stringify(db.getSiblingDB("locapi").fixes.find().toArray()))'
    assert "requires authentication" in mongosh(find, FORMER)
    assert json.loads(mongosh(AS_LOCAPI + find, FORMER).splitlines()[-1]) == [{"_id": "kept"}]
