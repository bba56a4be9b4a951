"""Detect the format of a file by how it begins, or else by its name."""

import json
import re
from contextlib import suppress
from pathlib import PurePath
from xml.parsers import expat

from locapi.importers.formats import FORMATS

HEAD_BYTES = 64 * 1024
_UNPACK = "unpack it first"
_OFFICE = "an Office document: save it as CSV"
_EXPORT = "export it as GPX, or convert it to GPX with GPSBabel"
_BINARY = (
    (rb"PK\x03\x04.{26}(\[Content_Types\]|mimetypeapplication/vnd\.oasis)", _OFFICE),
    (rb"PK[\x03\x05]", f"a zip archive: {_UNPACK}"),
    (rb"\x1f\x8b", f"a gzip file in a gzip file: {_UNPACK}"),
    (rb"BZh", f"a bzip2 file: {_UNPACK}"),
    (rb"\xfd7zXZ", f"an xz file: {_UNPACK}"),
    (rb"\x28\xb5\x2f\xfd", f"a Zstandard file: {_UNPACK}"),
    (rb"7z\xbc\xaf", f"a 7-Zip archive: {_UNPACK}"),
    (rb"Rar!", f"a RAR archive: {_UNPACK}"),
    (rb".{8}\.FIT", f"a FIT file: {_EXPORT}"),
    (rb"SQLite format 3\0", "an SQLite database: export its table as CSV"),
    (rb"\xd0\xcf\x11\xe0", _OFFICE),
    (rb".{257}ustar", f"a tar archive: {_UNPACK}"),
    (rb"PAR1", "a Parquet file: convert it to CSV"),
    (rb"bplist00", "a binary property list"),
    (rb"%PDF", "a PDF document"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "a picture"),
    (rb"\xff\xfe(?!<)|\xfe\xff(?!\0<)", "UTF-16 text: convert it with iconv -f UTF-16 -t UTF-8"),
    (rb"(?!\xff\xfe|\xfe\xff)[^\0]*\0", "a binary file"),
)
_REC_LINE = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z[ ]*\t")
_NMEA = re.compile(rb"\$[A-Z]{5},")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_XML_ROOTS = {"gpx": "gpx", "kml": "kml", "trainingcenterdatabase": "tcx"}
_BY_SUFFIX = {suffix: name for name, form in FORMATS.items() for suffix in form.suffixes}
_NEVER_TEXT = ("gpx", "kml", "tcx", "geojson", "geolife")
_GOOGLE_KEYS = {"locations", "semanticSegments", "rawSignals", "timelineObjects"}
_FLAT_KEYS = {"lat", "latitude"}  # which Google has in no form
_GOOGLE_SEGMENT_KEYS = {"timelinePath", "visit", "activity", "timelineMemory"}
# The end of a string may be missing, so that a string always matches, in linear time.
_TOKEN = re.compile(r'"((?:[^"\\]+|\\.?)*)"?\s*(:\s*(?:"([^"\\]{0,100})")?)?|[{}\[\]]', re.DOTALL)


class UnknownFormat(Exception):
    """A file that cannot be imported; the text says what it seems to be."""


def detect_format(head: bytes, name: str) -> str:
    """Return the name of the format of a file that begins with `head`. Raises UnknownFormat."""
    for pattern, what in _BINARY:
        if re.match(pattern, head, re.DOTALL):
            raise UnknownFormat(what)
    head = head.lstrip()
    if not head:
        raise UnknownFormat("an empty file")
    if head.startswith((b"<", b"\xff\xfe<", b"\xfe\xff\0<")):
        return _detect_xml(head)
    if head.startswith((b"{", b"[", b"\x1e")):
        return _detect_json(head)
    return _detect_text(head, name)


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name in lower case, or the one before `.gz`."""
    return PurePath(name.lower().removesuffix(".gz")).suffix


def _detect_text(head: bytes, name: str) -> str:
    if _REC_LINE.match(head):
        return "owntracks"
    if head.startswith(b"Geolife trajectory"):
        return "geolife"
    if _NMEA.match(head):
        raise UnknownFormat(f"NMEA sentences: {_EXPORT}")
    form = _BY_SUFFIX.get(suffix_of(name))
    if form in _NEVER_TEXT:
        raise UnknownFormat(f"text, not {FORMATS[form].title}")
    if form is None and re.match(rb"[^\n]*[,;\t]", head):
        return "csv"
    if form is None:
        raise UnknownFormat("text without columns")
    return form


def _detect_xml(head: bytes) -> str:
    root = _xml_root(head)
    if root in _XML_ROOTS:
        return _XML_ROOTS[root]
    raise UnknownFormat("an HTML page" if root == "html" else f"XML with the element {root}")


def _xml_root(head: bytes) -> str:
    """Return the name of the outermost element, or of the document type, in lower case."""
    names: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, _: names.append(name)
    parser.StartDoctypeDeclHandler = lambda name, *_: names.append(name)
    # Of text, expat ignores the encoding that the file declares, which it may not know.
    text = head.decode("utf-16" if head.startswith(_UTF_16) else "utf-8", "replace")
    with suppress(expat.ExpatError):  # the beginning of a file need not be well formed
        parser.Parse(text)
    return names[0].rpartition(":")[2].lower()[:40] if names else ""


def _detect_json(head: bytes) -> str:
    outer, inner = _json_keys(head)
    if outer.get("type") in ("Feature", "FeatureCollection") or "features" in outer:
        return "geojson"
    if "_type" in outer or "_type" in inner:
        return "owntracks"
    if inner.get("type") == "Feature":
        return "overland" if "locations" in outer else "geojson"
    if _FLAT_KEYS & inner.keys():
        return "json"
    if _GOOGLE_KEYS & outer.keys() or (not outer and _GOOGLE_SEGMENT_KEYS & inner.keys()):
        return "google"
    if inner or head.startswith(b"["):
        return "json"
    try:
        json.loads(head.partition(b"\n")[0])
    except (ValueError, RecursionError):
        keys = ", ".join(outer)[:100]
        raise UnknownFormat(f"JSON with the keys {keys}" if keys else "JSON") from None
    return "ndjson"


def _json_keys(head: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Return the keys of the outermost object and of the first object in an array.

    Each has the beginning of its value if that is a string, or "".
    """
    outer: dict[str, str] = {}
    inner: dict[str, str] = {}
    by_nesting = {"{": outer, "[{": inner, "{[{": inner}
    nesting = ""
    for token in _TOKEN.finditer(head.decode("utf-8", "replace")):
        sign, key, is_key, value = token[0][0], *token.groups()
        if sign in "{[":
            nesting += sign
        elif sign in "}]":
            if nesting in ("{", "[{", "{[{"):
                break
            nesting = nesting[:-1]
        elif is_key and nesting in by_nesting:
            by_nesting[nesting][key] = value or ""
    return outer, inner
