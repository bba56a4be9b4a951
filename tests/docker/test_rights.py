"""Containers and the database user have only the rights that they need."""

import subprocess

import pytest

from tests.docker.conftest import SERVICES
from tests.support.compose import Stack

each_service = pytest.mark.parametrize("service", SERVICES)
LIMITS = {"api": (512, 512), "mongo": (1536, 1024), "rollup": (256, 128)}  # MiB, processes
CHECK = ("mongosh", "--quiet", "--norc", "/locapi/ready.js")
AS_LOCAPI = """
db.getSiblingDB("locapi").auth(
  "locapi", fs.readFileSync("/run/secrets/mongodb_locapi_password", "utf8").trim());
"""
AS_ROOT = """
db.getSiblingDB("admin").auth(
  "root", fs.readFileSync("/run/secrets/mongodb_root_password", "utf8").trim());
"""


def test_no_other_service_keeps_running(stack: Stack) -> None:
    assert set(stack.compose("ps", "--services").split()) == set(SERVICES)


@each_service
def test_process_has_its_own_user_and_no_capability(stack: Stack, service: str) -> None:
    lines = stack.inside(service, "cat", "/proc/1/status").splitlines()
    status = {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}
    user = {"mongo": "999"}.get(service, "10001")
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {user}
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"


@each_service
def test_only_tmp_is_writable_and_nothing_there_is_executable(stack: Stack, service: str) -> None:
    probe = (
        "for place in / /etc /usr/bin /run /run/secrets /var/tmp; do"
        " if touch $place/probe 2>/dev/null; then echo $place; fi; done;"
        " printf '#!/bin/sh\\n' > /tmp/probe && chmod +x /tmp/probe && ! /tmp/probe 2>/dev/null"
        " && rm /tmp/probe && echo only /tmp"
    )
    assert stack.inside(service, "sh", "-c", probe) == "only /tmp\n"


@each_service
def test_memory_processes_files_and_logs_are_limited(stack: Stack, service: str) -> None:
    limits = stack.inspect(service, ".HostConfig")
    assert (limits["Memory"] >> 20, limits["PidsLimit"]) == LIMITS[service]
    assert limits["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-file": "5", "max-size": "10m"},
    }
    assert stack.inside(service, "sh", "-c", "ulimit -n") == "16384\n"
    assert "size=65536k" in stack.inside(service, "grep", " /tmp ", "/proc/mounts")


@each_service
def test_only_the_api_is_reachable_and_only_from_this_host(stack: Stack, service: str) -> None:
    bindings = stack.inspect(service, ".HostConfig.PortBindings")
    networks = sorted(stack.inspect(service, ".NetworkSettings.Networks"))
    if service == "api":
        assert bindings == {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(stack.port)}]}
        assert networks == ["locapi-test_database", "locapi-test_edge"]
        return
    assert (bindings, networks) == ({}, ["locapi-test_database"])
    # Below the header there is only the route to the network itself: no gateway.
    routes = stack.inside(service, "cat", "/proc/net/route").splitlines()[1:]
    assert [route.split()[2] for route in routes] == ["00000000"]


def test_each_secret_is_readable_by_its_users_only(stack: Stack) -> None:
    script = "cd /run/secrets && stat -c '%n %a %U %g' mongodb_*"
    assert stack.inside("mongo", "sh", "-c", script).splitlines() == [
        "mongodb_keyfile 400 mongodb 0",
        "mongodb_locapi_password 440 mongodb 10001",
        "mongodb_root_password 400 mongodb 0",
    ]
    readable = "cd /run/secrets && for name in *; do ! test -r $name || echo $name; done"
    for service in ("api", "rollup"):
        assert stack.inside(service, "sh", "-c", readable) == "mongodb_locapi_password\n"


def test_no_secret_shows_in_settings_processes_or_logs(stack: Stack) -> None:
    shown = stack.compose("logs", "--no-log-prefix") + stack.compose("config")
    for service in ("secrets", *SERVICES):
        shown += stack.run("docker", "inspect", stack.container(service))
    mongo, processes = stack.container("mongo"), set[str]()
    with stack.start("docker", "exec", mongo, *CHECK) as check:

        def ended() -> bool:
            processes.update(stack.run("docker", "top", mongo, "-eo", "pid,args").splitlines())
            return check.poll() is not None

        stack.until(ended, "the health check has ended")
    assert check.returncode == 0
    shown += "\n".join(processes)
    assert "ready.js" in shown
    secrets = stack.inside("mongo", "sh", "-c", "cat /run/secrets/mongodb_*").split()
    assert len(secrets) == 3
    assert not any(secret in shown for secret in secrets)


def test_database_refuses_clients_without_a_password(stack: Stack) -> None:
    connect = "import pymongo; pymongo.MongoClient('mongodb://mongo/?replicaSet=rs0').locapi.fixes"
    for call in ("find_one()", "insert_one({})"):
        answer = stack.inside("api", "python", "-c", f"{connect}.{call}", check=False)
        assert "requires authentication" in answer


def test_user_of_locapi_may_do_its_work_and_nothing_else(stack: Stack) -> None:
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
    script = "\n".join(
        f'try {{ {command}; print("done") }} catch (error) {{ print(error.codeName) }}'
        for command in commands
    )
    answers = stack.mongosh(AS_LOCAPI + script).split()[-len(commands) :]
    assert answers == ["Unauthorized"] * (len(commands) - 1) + ["done"]


def test_health_check_restores_a_changed_password_and_lost_rights(stack: Stack) -> None:
    stack.compose("stop", "rollup")  # it would end without its rights
    stack.mongosh(
        AS_ROOT
        + """
        db.getSiblingDB("locapi").updateUser("locapi", {pwd: "other"});
        db.getSiblingDB("locapi").updateRole("locapi", {privileges: []});
        """
    )
    assert "Authentication failed" in stack.mongosh(AS_LOCAPI)
    stack.inside("mongo", *CHECK)
    assert stack.put(user_id="restored") == (200, "stored")
    stack.up()


@pytest.mark.usefixtures("stack")
def test_image_alone_refuses_to_listen_openly() -> None:
    done = subprocess.run(
        ["docker", "run", "--rm", "--read-only", "locapi"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(
        "Error: --host 0.0.0.0 is open to other machines"
    )
    assert "LOCAPI_AUTH=token" in done.stderr
