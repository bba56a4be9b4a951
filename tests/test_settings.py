"""What can be set."""

from pathlib import Path

import platformdirs
import pytest

from locapi.errors import Misconfigured
from locapi.settings import Settings


def test_nothing_need_be_set() -> None:
    assert Settings.from_environ({"PATH": "/bin"}) == Settings(
        mongodb_uri=None, database="locapi", data_dir=platformdirs.user_data_path("locapi")
    )


def test_each_setting_has_its_variable() -> None:
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
def test_who_may_send_is_not_guessed_from_a_word_that_is_none(auth: str) -> None:
    with pytest.raises(Misconfigured, match="LOCAPI_AUTH cannot be used: write off or token"):
        Settings.from_environ({"LOCAPI_AUTH": auth})


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environ({"MONGODB_URI": "", "LOCAPI_DATABASE": ""}) == Settings()


def test_a_setting_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(
        Misconfigured, match=r"LOCAPI_DATABSE: no such setting; did you mean LOCAPI_DATABASE\?"
    ):
        Settings.from_environ({"LOCAPI_DATABSE": "x"})


def test_a_setting_like_no_other_is_told_which_there_are() -> None:
    with pytest.raises(Misconfigured, match="there are MONGODB_URI, LOCAPI_MONGODB_PASSWORD_FILE"):
        Settings.from_environ({"LOCAPI_XYZ": "x"})


@pytest.mark.parametrize(
    "name", ["a b", "a/b", "a\\b", "a.b", 'a"b', "a$b", "a?b", "ü" * 32, "admin", "LOCAL", "config"]
)
def test_a_name_that_mongodb_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured, match="LOCAPI_DATABASE cannot be used: "):
        Settings.from_environ({"LOCAPI_DATABASE": name})
