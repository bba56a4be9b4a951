"""What can be set, each declared once: variable, default, meaning, how to read and to show it."""

import dataclasses
import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from locapi.errors import Misconfigured

_DATABASE_BYTES = 63
_TAKEN_BY_MONGODB = ("admin", "config", "local")


def redacted(uri: str) -> str:
    """Return a database's URI with nothing of it but scheme, hosts and name: no secret, ever."""
    scheme, mark, rest = uri.partition("://")
    # By the last @, and only then by the ?: in a bad URI either may be part of the password.
    _, at, hosts = rest.rpartition("@")
    hosts, options, _ = hosts.partition("?")
    return f"{scheme}://{'***@' if at else ''}{hosts}{'?***' if options else ''}" if mark else "***"


def _database_name(name: str) -> str:
    """Return the name if MongoDB takes it, on whichever system it runs."""
    if re.search(r'[/\\. "$*<>:|?\x00]', name) or len(os.fsencode(name)) > _DATABASE_BYTES:
        raise ValueError(
            f'a name has at most {_DATABASE_BYTES} bytes and none of the signs /\\. "$*<>:|?'
        )
    if name.lower() in _TAKEN_BY_MONGODB:
        raise ValueError(f"MongoDB keeps {', '.join(_TAKEN_BY_MONGODB)} for itself")
    return name


def _path(path: str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError("the home directory that ~ stands for is not known") from error


def _auth(word: str) -> str:
    if word not in ("off", "token"):
        raise ValueError("write off or token")
    return word


def _setting(
    variable: str,
    default: Any,
    doc: str,
    *,
    parse: Callable[[str], Any] = str,
    show: Callable[[Any], str] = repr,
    shown: str | None = None,
) -> Any:
    """Declare a setting: `parse` raises ValueError with what is wrong; `show` bares no secret."""
    metadata = {
        "variable": variable,
        "doc": doc,
        "shown": shown or f"`{default}`",
        "parse": parse,
        "show": show,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, repr=False)
class Settings:
    """The settings of one process; `from_environ` reads them from the environment."""

    mongodb_uri: str | None = _setting(
        "MONGODB_URI",
        None,
        "where MongoDB is; when not set, a private mongod is started and shared",
        show=lambda uri: "embedded" if uri is None else redacted(uri),
        shown="embedded",
    )
    mongodb_password_file: Path | None = _setting(
        "LOCAPI_MONGODB_PASSWORD_FILE",
        None,
        "file that holds the password of the user whom `MONGODB_URI` names",
        parse=_path,
        show=str,
        shown="the password is in the URI",
    )
    database: str = _setting(
        "LOCAPI_DATABASE", "locapi", "name of the database", parse=_database_name
    )
    data_dir: Path = _setting(
        "LOCAPI_DATA_DIR",
        platformdirs.user_data_path("locapi"),
        "where the embedded database lives; readable by its owner only",
        parse=_path,
        show=str,
        shown="the user's data directory",
    )
    auth: str = _setting(
        "LOCAPI_AUTH",
        "off",
        "`token`: who sends a fix must bear a token of its user; `off`: anyone may send anything",
        parse=_auth,
    )

    def __repr__(self) -> str:
        """Show every setting, but no secret."""
        shown = (f"{row['name']}={row['show'](getattr(self, row['name']))}" for row in describe())
        return f"Settings({', '.join(shown)})"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings; raises Misconfigured for one that does not exist or a bad value.

        A variable set to the empty string counts as not set.
        """
        given = {name: value for name, value in environ.items() if value}
        _refuse_unknown(given)
        values: dict[str, Any] = {}
        for row in describe():
            if (text := given.get(row["variable"])) is not None:
                try:
                    values[row["name"]] = row["parse"](text)
                except ValueError as error:
                    raise Misconfigured(f"{row['variable']} cannot be used: {error}") from error
        return cls(**values)


def _refuse_unknown(given: Mapping[str, str]) -> None:
    known = [row["variable"] for row in describe()]
    for name in sorted(given):
        if name.startswith("LOCAPI_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise Misconfigured(f"{name}: no such setting; {hint}")


def describe() -> Iterator[Mapping[str, Any]]:
    """Yield each setting's name and all it was declared with: the manual's table."""
    for field in dataclasses.fields(Settings):
        yield {"name": field.name, **field.metadata}
