"""Generate bodies: fixes whose values are often at an edge, some of them damaged."""

from random import Random

from tests.conftest import ROOT

NAMES = ("timestamp", "lat", "long", "accuracy", "speed", "user_id")
CORPUS = (ROOT / "simulation" / "data" / "dirt.ndjson").read_bytes().splitlines()

_TIMES = [
    "0000-01-01 00:00:00", "0001-01-01 00:00:00", "1969-12-30 23:59:59", "1969-12-31 00:00:00",
    "1969-12-31 11:59:59.999", "1969-12-31 12:00:00", "1969-12-31 23:59:59.999999",
    "1970-01-01 00:00:00", "1970-01-01 12:00:00", "1972-01-07 00:44:30", "2000-02-29 12:00:00",
    "1900-02-29 12:00:00", "2017-02-29 12:00:00", "2016-02-30 12:00:00", "2017-04-31 12:00:00",
    "2017-03-12 02:30:00", "2017-11-05 01:30:00", "2011-12-30 12:00:00", "2023-10-29 00:30:00",
    "2017-01-01 24:00:00", "2017-01-01 23:59:60", "2016-12-31 23:59:60", "2017-01-01 23:60:00",
    "9998-12-31 23:59:59", "9999-01-01 00:00:00", "9999-12-31 23:59:59",
    "9999-12-31 23:59:59.999999",
    "2017-01-01 13:05:12.1", "2017-01-01 13:05:12.123456", "2017-01-01 13:05:12.1234567",
    "2017-01-01 13:05:12.", "2017-01-01 13:05:12\\n", "2017-01-01 13:05:12\\u0000",
    "2017-1-1 1:1:1",
    "٢٠١٧-01-01 13:05:12", "2017-01-01T13:05:12", "2017-01-01 13:05:12Z", "2017-W01-1 00:00:00",
    "2017-00-01 00:00:00", "2017-13-01 00:00:00", "2017-01-00 00:00:00", "2017-01-32 00:00:00",
    "10000-01-01 00:00:00", "-001-01-01 00:00:00", "\\u0032017-01-01 13:05:12",
]  # fmt: skip
_NUMBERS = [
    "0", "-0", "-0.0", "0e0", "90", "-90", "90.0", "-90.0", "180", "-180", "180.0", "-180.0",
    "90.00000000000001", "-90.00000000000001", "180.00000000000003", "-180.00000000000003",
    "89.99999999999999", "179.99999999999997", "-179.99999999999997", "90.000000000000000000001",
    "1E+2", "1e-400", "-1e-400", "5e-324", "-5e-324", "1e308", "1.7976931348623157e308",
    "1.7976931348623159e308", "1e309", "-1e309", "1e400", "1e999999999", "NaN", "Infinity",
    "-Infinity", "nan", "01", "1.", ".5", "+1", "--1", "1e", "0x10", "1_000", "١",
    "9007199254740993",
    "18446744073709551616", "9" * 308, "9" * 309, "9" * 400, "9" * 4300, "9" * 4301, "9" * 7000,
    "-" + "9" * 5000, "0." + "1" * 7000, "1e" + "9" * 7000, "0." + "0" * 7000 + "1",
    "1" + "0" * 90 + "e-90",
]  # fmt: skip
_TEXTS = [
    "", " ", "a", "x" * 127, "x" * 128, "x" * 129, "😀" * 127, "😀" * 128, "😀" * 129, "𐀀" * 128,
    "\\ud83d\\ude00" * 128, "\\ud83d\\ude00" * 129, "\\ud800", "\\udc00", "\\ude00\\ud83d",
    "a\\ud83d",
    "\\u0000", "a\\u0000b", "\\t", "a\\tb", "a\\n", "\\u007f", "\x7f", "\\u0080", "\x85",
    "\\u009f",
    "\xa0", "\u200b", "\u200e\u202e", "\u2028", "\u2029", "\\u2028", "\ufeff", "\\ufffe",
    "\uffff",
    "\U0010ffff", "e\u0301", "é", "ß", "ǅ", "İ", "$where", "$a.b", "a.b", "__proto__", "null",
    "%00",
    "=1+1", "{0}", "{constraint}", "%s", "'\\\"", "\\\\", "\\/", "\\x41", "\x00", "\t", "\n",
    "\ud800",
    "\\u00", "a1 2017-01-01 13:05:12", "x" * 7000, "ü" * 3900, "\\u0001" * 1200,
]  # fmt: skip
_JUNK = [
    "null", "true", "false", "[]", "{}", "[1.0]", '{"lat":1}', '{"a":1,"a":2}', "", '"', "[[", "}",
]  # fmt: skip
_KEYS = ["", "x", "Lat", "lat ", "l\\u0061t", "lng", "_id", "\\ud800", "\\u0000", "$set",
    "ü" * 900,
         "x" * 3000, "timestamp", "lat", "{value}", "__class__"]  # fmt: skip
_PIECES = [b"\xef\xbb\xbf", b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b"{", b"}",
           b"[", b'"', b",", b":", b"\\", b"\\u", b"1e999", b"NaN", b"\n", b"\x1f", b"//",
           b"/**/", b" " * 3000]  # fmt: skip


class Bodies:
    """An endless source of bodies, the same for the same seed."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def body(self) -> bytes:
        """Return the next body."""
        rng = self._rng
        roll = rng.random()
        if roll < 0.02:
            return self._noise()
        if roll < 0.06:
            return self.damaged(rng.choice(CORPUS))
        text = self._object(0.0 if roll < 0.2 else 0.12)
        body = text.encode("utf-8", "surrogatepass")
        if roll < 0.7:
            return body
        if roll < 0.71:
            return text.encode(rng.choice(["utf-16", "utf-32", "latin-1", "utf-8-sig"]), "replace")
        return self.damaged(body)

    def _object(self, edges: float) -> str:
        rng = self._rng
        fields = [f'"{name}":{self._value(name, edges)}' for name in NAMES]
        if edges and rng.random() < 0.15:
            self._change(fields)
        return "{" + rng.choice((",", ", ", " ,\n")).join(fields) + "}"

    def _change(self, fields: list[str]) -> None:
        rng = self._rng
        roll = rng.random()
        if roll < 0.3:
            rng.shuffle(fields)
        elif roll < 0.5:
            del fields[rng.randrange(len(fields))]
        elif roll < 0.6:
            fields.append(rng.choice(fields))
        elif roll < 0.95:
            fields.append(f'"{rng.choice(_KEYS)}":{self._any()}')
        else:
            fields += [f'"{number:x}":1' for number in range(rng.choice((3, 13, 14, 15, 900)))]

    def _value(self, name: str, edges: float) -> str:
        rng = self._rng
        if rng.random() < edges:
            if rng.random() < 0.25:
                return self._any()
            if name == "timestamp":
                return f'"{rng.choice(_TIMES)}"'
            return f'"{rng.choice(_TEXTS)}"' if name == "user_id" else rng.choice(_NUMBERS)
        if name == "timestamp":
            return self._time()
        if name == "user_id":
            return f'"u{rng.randrange(1000)}"'
        if name in ("lat", "long"):
            most = 90 if name == "lat" else 180
            return repr(round(rng.uniform(-most, most), rng.randrange(9)))
        return repr(rng.randrange(100) / 4)

    def _time(self) -> str:
        rng = self._rng
        year, month, day = rng.randrange(1969, 2027), rng.randrange(1, 13), rng.randrange(1, 32)
        hour, minute, second = rng.randrange(24), rng.randrange(60), rng.randrange(60)
        after = rng.choice(("", "", f".{rng.randrange(1000):03}"))
        return f'"{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{after}"'

    def _any(self) -> str:
        rng = self._rng
        roll = rng.random()
        if roll < 0.3:
            return rng.choice(_JUNK)
        if roll < 0.5:
            return rng.choice(_NUMBERS)
        if roll < 0.7:
            return f'"{rng.choice(_TEXTS)}"'
        if roll < 0.8:
            return f'"{rng.choice(_TIMES)}"'
        depth = rng.choice((1, 10, 300, 480, 500, rng.randrange(1, 1000), 970, 990, 1000, 3000))
        if rng.random() < 0.5:
            return "[" * depth + "]" * depth
        return '{"a":' * min(depth, 1300) + "1" + "}" * min(depth, 1300)

    def _noise(self) -> bytes:
        return self._rng.randbytes(self._rng.choice((0, 1, 2, 8, 100, 8_192, 8_193)))

    def damaged(self, body: bytes) -> bytes:
        """Return a body with some bytes changed, removed, inserted or repeated."""
        rng = self._rng
        data = bytearray(body)
        for _ in range(rng.choice((1, 1, 1, 2, 8))):
            at = rng.randrange(len(data) + 1)
            upto = at + rng.choice((1, 2, 5, 40))
            roll = rng.random()
            if roll < 0.3:
                data[at : at + 1] = bytes((rng.randrange(256),))
            elif roll < 0.5:
                del data[at:upto]
            elif roll < 0.8:
                data[at:at] = rng.choice(_PIECES)
            elif roll < 0.9:
                data[at:at] = data[at:upto]
            else:
                del data[at:]
        return bytes(data)
