"""CSV: a header, and a line for each minute."""

from operator import itemgetter
from typing import TextIO

import orjson

from locapi.exporters.query import Minutes
from locapi.fixes import ids

# Spreadsheets run a cell that begins with one of these, also full-width, as a formula.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001


def write(minutes: Minutes, out: TextIO, *, quote_formulas: bool = False) -> None:
    """Write CSV; each number is the shortest that reads back the same.

    With `quote_formulas`, an apostrophe precedes each user_id that a spreadsheet would run. An
    export of changes has the column `deleted`: true for an erased user, whose other columns are
    empty.
    """
    more = "" if minutes.erased is None else ",deleted"
    end = "" if minutes.erased is None else ",false"
    out.write(f"{','.join(minutes.columns)}{more}\n")
    for user_id in minutes.erased or ():
        empty = "," * len(minutes.columns)
        out.write(f"{_cell(user_id, quote_formulas)}{empty}true\n")
    values = itemgetter(*minutes.columns[2:])
    for page in minutes.pages:
        # orjson formats a page of numbers and times at once. No value can hold a bracket or a
        # quote, so the text can be split into rows. An unknown value becomes an empty cell.
        rows = orjson.dumps([values(minute) for minute in page]).decode()[2:-2]
        rows = rows.replace('"', "").replace("null", "")
        lines = zip(page, rows.split("],["), strict=True)
        out.write(
            "".join(
                [f"{_key(minute['_id'], quote_formulas)},{row}{end}\n" for minute, row in lines]
            )
        )


def _key(minute_id: str, quote_formulas: bool) -> str:
    user_id, time = ids.split_minute_id(minute_id)
    return f"{_cell(user_id, quote_formulas)},{time}"


def _cell(user_id: str, quote_formulas: bool) -> str:
    if quote_formulas and user_id.startswith(_FORMULA):
        user_id = f"'{user_id}"
    if "," in user_id or '"' in user_id:  # a user_id has no line breaks
        return '"' + user_id.replace('"', '""') + '"'
    return user_id
