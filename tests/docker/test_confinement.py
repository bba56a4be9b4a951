"""What a container may do is as little as it needs."""

import subprocess

import pytest

from tests.docker.stack import PORT, SERVICES, compose, inside, inspect

each_service = pytest.mark.parametrize("service", SERVICES)


def status(service: str) -> dict[str, str]:
    lines = inside(service, "cat", "/proc/1/status").splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def test_these_are_all_services() -> None:
    assert set(SERVICES) == set(compose("config", "--services").split())


@each_service
def test_it_runs_as_nobody_in_particular_without_any_capability(service: str) -> None:
    found = status(service)
    user = {"mongo": "999"}.get(service, "10001")

    assert set(found["Uid"].split()) == set(found["Gid"].split()) == {user}
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[name], 16) == 0, name
    assert found["NoNewPrivs"] == "1"


@each_service
def test_it_can_write_where_it_must_and_run_nothing_there(service: str) -> None:
    probe = (
        "for place in / /etc /usr/bin /run /run/secrets /var/tmp; do"
        " if touch $place/probe 2>/dev/null; then echo $place; fi; done;"
        " printf '#!/bin/sh\\n' > /tmp/probe && chmod +x /tmp/probe && ! /tmp/probe 2>/dev/null"
        " && rm /tmp/probe && echo only /tmp"
    )
    assert inside(service, "sh", "-c", probe) == "only /tmp\n"


@each_service
def test_it_can_take_no_more_memory_processes_or_log_than_is_set(service: str) -> None:
    limits = inspect(service, ".HostConfig")

    assert (limits["Memory"] >> 20, limits["PidsLimit"]) == {
        "api": (512, 512),
        "mongo": (1536, 1024),
        "rollup": (256, 128),
    }[service]
    assert limits["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-file": "5", "max-size": "10m"},
    }
    assert inside(service, "sh", "-c", "ulimit -n") == "16384\n"
    assert "size=65536k" in inside(service, "grep", " /tmp ", "/proc/mounts")


def test_only_the_api_is_published_and_only_on_this_host() -> None:
    bindings = {name: inspect(name, ".HostConfig.PortBindings") for name in SERVICES}

    assert bindings == {
        "api": {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(PORT)}]},
        "mongo": {},
        "rollup": {},
    }


def test_the_database_and_the_rollup_have_no_way_out() -> None:
    networks = {name: sorted(inspect(name, ".NetworkSettings.Networks")) for name in SERVICES}
    assert networks == {
        "api": ["locapi-test_database", "locapi-test_edge"],
        "mongo": ["locapi-test_database"],
        "rollup": ["locapi-test_database"],
    }
    # Each route but the header is one within the network: its gateway is zero.
    for service in ("mongo", "rollup"):
        routes = inside(service, "cat", "/proc/net/route").splitlines()[1:]
        assert [route.split()[2] for route in routes] == ["00000000"]


def test_the_image_alone_refuses_to_listen_openly() -> None:
    done = subprocess.run(
        ["docker", "run", "--rm", "--read-only", "locapi"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("Error: 0.0.0.0 is open to other machines")
    assert "LOCAPI_AUTH=token" in done.stderr
