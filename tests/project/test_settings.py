"""Settings are read from the environment and checked."""

from pathlib import Path

import platformdirs
import pytest

from locapi.errors import Misconfigured
from locapi.settings import Settings


def test_every_setting_has_a_default() -> None:
    assert Settings.from_environ({"PATH": "/bin"}) == Settings(
        mongodb_uri=None, database="locapi", data_dir=platformdirs.user_data_path("locapi")
    )


def test_each_setting_is_read_from_its_variable() -> None:
    environ = {
        "MONGODB_URI": "mongodb://db.example",
        "LOCAPI_DATABASE": "other",
        "LOCAPI_DATA_DIR": "~/there",
        "LOCAPI_MONGODB_PASSWORD_FILE": "~/password",
        "LOCAPI_AUTH": "token",
    }
    assert Settings.from_environ(environ) == Settings(
        mongodb_uri="mongodb://db.example",
        database="other",
        data_dir=Path.home() / "there",
        mongodb_password_file=Path.home() / "password",
        auth="token",
    )


@pytest.mark.parametrize("auth", ["on", "Token", "tokens", " off"])
def test_auth_is_off_or_token_and_nothing_else(auth: str) -> None:
    fault = f"LOCAPI_AUTH cannot be used: it must be off or token, not '{auth}'"
    with pytest.raises(Misconfigured, match=fault):
        Settings.from_environ({"LOCAPI_AUTH": auth})


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_environ({"MONGODB_URI": "", "LOCAPI_DATABASE": ""}) == Settings()


def test_a_misspelt_setting_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        Misconfigured, match=r"LOCAPI_DATABSE: no such setting; did you mean LOCAPI_DATABASE\?"
    ):
        Settings.from_environ({"LOCAPI_DATABSE": "x"})


def test_an_unknown_setting_is_refused_with_all_names() -> None:
    with pytest.raises(
        Misconfigured, match="the settings are MONGODB_URI, LOCAPI_MONGODB_PASSWORD_FILE"
    ):
        Settings.from_environ({"LOCAPI_XYZ": "x"})


@pytest.mark.parametrize(
    "name", ["a b", "a/b", "a\\b", "a.b", 'a"b', "a$b", "a?b", "ü" * 32, "admin", "LOCAL", "config"]
)
def test_a_database_name_that_mongodb_refuses_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured, match="LOCAPI_DATABASE cannot be used: "):
        Settings.from_environ({"LOCAPI_DATABASE": name})
