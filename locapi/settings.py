"""What can be set, each declared once with its variable, default and meaning."""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from locapi.errors import Misconfigured


def _setting(variable: str, default: Any, doc: str, shown: str | None = None) -> Any:
    metadata = {"variable": variable, "doc": doc, "shown": shown or f"`{default}`"}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """The settings of one process; `from_environ` reads them from the environment."""

    mongodb_uri: str | None = _setting(
        "MONGODB_URI",
        None,
        "where MongoDB is; when not set, a private mongod is started and shared",
        shown="embedded",
    )
    mongodb_password_file: Path | None = _setting(
        "LOCAPI_MONGODB_PASSWORD_FILE",
        None,
        "file that holds the password of the user whom `MONGODB_URI` names",
        shown="the password is in the URI",
    )
    database: str = _setting("LOCAPI_DATABASE", "locapi", "name of the database")
    data_dir: Path = _setting(
        "LOCAPI_DATA_DIR",
        platformdirs.user_data_path("locapi"),
        "where the embedded database lives; readable by its owner only",
        shown="the user's data directory",
    )
    auth: str = _setting(
        "LOCAPI_AUTH",
        "off",
        "`token`: who sends a fix must bear a token of its user; `off`: anyone may send anything",
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings; raises Misconfigured for a `LOCAPI_*` variable that does not exist.

        A variable set to the empty string counts as not set.
        """
        known = {row["variable"]: row["name"] for row in describe()}
        given = {name: value for name, value in environ.items() if value}
        unknown = sorted(n for n in given if n.startswith("LOCAPI_") and n not in known)
        if unknown:
            raise Misconfigured(
                f"{', '.join(unknown)}: no such setting; there are {', '.join(known)}"
            )
        values: dict[str, Any] = {known[n]: value for n, value in given.items() if n in known}
        for name in values.keys() & {"data_dir", "mongodb_password_file"}:
            values[name] = Path(values[name]).expanduser().absolute()
        if values.get("auth", "off") not in ("off", "token"):
            raise Misconfigured("LOCAPI_AUTH cannot be used: write off or token")
        return cls(**values)


def describe() -> Iterator[Mapping[str, str]]:
    """Yield each setting's name, variable, shown default and doc: the manual's table."""
    for field in dataclasses.fields(Settings):
        yield {"name": field.name, **field.metadata}
