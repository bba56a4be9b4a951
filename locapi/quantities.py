"""Quantities as a person reads them: lengths of time and amounts of bytes."""

_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_SIZES = ("TB", "GB", "MB", "kB")


def span(seconds: float) -> str:
    """Return a length of time, rounded down, in the largest unit of which there are two."""
    for unit_s, unit in _SPANS:
        if seconds >= 2 * unit_s:
            return f"{int(seconds / unit_s)} {unit}"
    return f"{int(max(0.0, seconds))} s"


def size(count: int) -> str:
    """Return an amount of bytes, in the largest decimal unit of which there is one."""
    for power, unit in zip((4, 3, 2, 1), _SIZES, strict=True):
        if count >= 1_000**power:
            return f"{count / 1_000**power:.1f} {unit}"
    return f"{count} bytes"
