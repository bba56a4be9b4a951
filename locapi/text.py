"""Text for people: safe to print on a terminal; counts, durations and sizes."""

import re

_HEAD = re.compile(r"(.*?)( (?:of|that|without) .*)?", re.DOTALL)
_DURATIONS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_SIZES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def printable(text: str) -> str:
    r"""Return a text with every character that a terminal might act on or hide as an escape.

    Use it for all that comes from a file or the database: control characters, line
    ends, bidirectional and zero-width characters and lone surrogates become `\x1b`
    or `\u202e`. What is left is one line.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def quantity(count: int, noun: str) -> str:
    """Return a count with its noun: `1 minute`, `2,000 raw fixes`, `2 messages of type lwt`."""
    if count == 1:
        return f"1 {noun}"
    head, rest = _HEAD.fullmatch(noun).groups("")  # type: ignore[union-attr]  # it always matches
    if head.endswith("y"):
        return f"{count:,} {head[:-1]}ies{rest}"
    return f"{count:,} {head}{'es' if head.endswith('x') else 's'}{rest}"


def format_duration(seconds: float) -> str:
    """Return a duration, rounded down, in the largest unit that it has two of."""
    for unit_s, unit in _DURATIONS:
        if seconds >= 2 * unit_s:
            return f"{int(seconds / unit_s)} {unit}"
    return f"{int(max(0.0, seconds))} s"


def format_size(count: int) -> str:
    """Return a number of bytes in the largest decimal unit that it has one of."""
    for unit_bytes, unit in _SIZES:
        if count >= unit_bytes:
            return f"{count / unit_bytes:.1f} {unit}"
    return quantity(count, "byte")
