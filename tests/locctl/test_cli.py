"""`locctl`, run as a user runs it."""

import pytest

from tests.conftest import Locctl


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rollup", "--watch", "0"], "Invalid value for '--watch'"),
        (["export", "--since", "yesterday"], "'yesterday' is not a time. Write 2017-01-01"),
        (["export", "--format", "xls"], "'xls' is not one of"),
        (
            ["export", "-o", "no.xls"],
            "cannot detect the format of no.xls. Use one of the",
        ),
        (["export", "--resolution", "7m"], "'7m' does not divide a day into minutes. Write 5m"),
        (["export", "-o", "no.gpx", "--local-time"], "gpx cannot hold the local time"),
        (["serve", "--host", "0.0.0.0"], "--host 0.0.0.0 is open to other machines"),
        (["serve", "--port", "0"], "Invalid value for '--port'"),
        (["prune"], "Missing option '--older-than'"),
        (["prune", "--older-than", "7"], "'7' is not a duration. Write 90s, 15m, 36h or 7d."),
        (["prune", "--older-than", "999999d"], "'999999d' is too long. The maximum is 36500d."),
        (["erase"], "Missing argument 'USER'"),
        (["nothing"], "No such command"),
    ],
)
def test_misuse_exits_2_with_a_message(locctl: Locctl, arguments: list[str], said: str) -> None:
    misused = locctl(*arguments)
    assert (misused.returncode, misused.stdout) == (2, "")
    assert said in misused.stderr


@pytest.mark.parametrize("command", ["serve", "rollup"])
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LOCAPI_DATBASE", "x", "LOCAPI_DATBASE: no such setting"),
        ("LOCAPI_AUTH", "on", "LOCAPI_AUTH cannot be used: it must be off or token, not 'on'"),
        ("MONGODB_URI", "mongodb://", "MONGODB_URI cannot be used"),
    ],
)
def test_invalid_setting_exits_2(
    locctl: Locctl, command: str, variable: str, value: str, said: str
) -> None:
    misused = locctl(command, **{variable: value})
    assert misused.returncode == 2
    assert said in misused.stderr
