"""Declare each setting once: its variable, default, meaning, parser and how it is shown."""

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
ANY_HOST = "*"
_TAKEN_BY_MONGODB = ("admin", "config", "local")


def redacted(uri: str) -> str:
    """Return a database's URI without user, password and the values of options."""
    scheme, mark, rest = uri.partition("://")
    # Split at the last @ first, because in an invalid URI a password may contain @ and ?.
    _, at, hosts = rest.rpartition("@")
    hosts, options, _ = hosts.partition("?")
    return f"{scheme}://{'***@' if at else ''}{hosts}{'?***' if options else ''}" if mark else "***"


def _database_name(name: str) -> str:
    """Return the name if MongoDB accepts it on every operating system."""
    if re.search(r'[/\\. "$*<>:|?\x00]', name) or len(os.fsencode(name)) > _DATABASE_BYTES:
        raise ValueError(
            f'a name has at most {_DATABASE_BYTES} bytes and none of the characters /\\. "$*<>:|?'
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
        raise ValueError(f"it must be off or token, not {word!r}")
    return word


def _days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not int(text):
        raise ValueError(f"it must be a number of days from 1 to 99999, not {text!r}")
    return int(text)


def _kept_rejects(word: str) -> str:
    if word not in ("apps", "all"):
        raise ValueError(f"it must be apps or all, not {word!r}")
    return word


def _hosts(names: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in names.split(","))


def _setting(
    variable: str,
    default: Any,
    doc: str,
    *,
    parse: Callable[[str], Any] = str,
    show: Callable[[Any], str] = repr,
    shown: str | None = None,
) -> Any:
    """Declare a setting; `parse` raises ValueError with what is wrong, `show` hides secrets."""
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
        "`token`: each fix needs a token of its user; `off`: anyone may send any fix",
        parse=_auth,
    )

    allowed_hosts: frozenset[str] | None = _setting(
        "LOCAPI_ALLOWED_HOSTS",
        None,
        "with `LOCAPI_AUTH=off`: names that the `Host` header may contain besides `localhost` and "
        "loopback addresses, separated by commas; `*` allows any",
        parse=_hosts,
        show=lambda hosts: "none" if hosts is None else ",".join(sorted(hosts)),
        shown="none; any with `--insecure-open`",
    )

    rejects_days: int = _setting(
        "LOCAPI_REJECTS_DAYS", 30, "days after which a reject is deleted", parse=_days
    )
    keep_rejects: str = _setting(
        "LOCAPI_KEEP_REJECTS",
        "apps",
        "`apps`: keep rejects of OwnTracks and Overland; `all`: also of `PUT /location` and "
        "`POST /locations`",
        parse=_kept_rejects,
    )

    def __repr__(self) -> str:
        """Return every setting as text, without secrets."""
        shown = (f"{row['name']}={row['show'](getattr(self, row['name']))}" for row in describe())
        return f"Settings({', '.join(shown)})"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings; raises Misconfigured for an unknown one or an invalid value.

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
            hint = f"did you mean {near[0]}?" if near else f"the settings are {', '.join(known)}"
            raise Misconfigured(f"{name}: no such setting; {hint}")


def describe() -> Iterator[Mapping[str, Any]]:
    """Yield each setting's name and declaration, as docs/REFERENCE.md lists them."""
    for field in dataclasses.fields(Settings):
        yield {"name": field.name, **field.metadata}
