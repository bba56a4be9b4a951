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
    }
    assert Settings.from_environ(environ) == Settings(
        mongodb_uri="mongodb://db.example",
        database="other",
        data_dir=Path.home() / "there",
        mongodb_password_file=Path.home() / "password",
    )


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environ({"MONGODB_URI": "", "LOCAPI_DATABASE": ""}) == Settings()


def test_a_setting_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(Misconfigured, match=r"LOCAPI_DATABSE: no such setting; .*LOCAPI_DATABASE"):
        Settings.from_environ({"LOCAPI_DATABSE": "x"})
