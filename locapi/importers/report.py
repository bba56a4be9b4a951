"""Count what became of the rows of files, and present that as a table or as JSON."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from locapi.errors import InvalidFix
from locapi.importers import reasons
from locapi.importers.formats import FORMATS
from locapi.importers.pipeline import Outcome
from locapi.text import printable, quantity

MAX_KINDS = 1_000  # of reasons and of skipped things that are counted apart
_SHOWN_REASONS = 10
_SHOWN_FILES = 50
_OTHERS = "other reasons"
_COLUMNS = ("file", "format", "stored", "duplicate", "rejected", "skipped")


@dataclass
class FileReport:
    """How many rows of a file were stored, duplicates or rejected, and what was skipped.

    `format` is empty if it is unknown. `problem` says why the file or the rest of it
    was not read; that is a failure if the file should have been readable.
    """

    file: str
    format: str = ""
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    problem: str = ""
    is_failure: bool = False

    @property
    def fixes(self) -> int:
        """Return the number of rows that are fixes."""
        return self.stored + self.duplicate

    @property
    def title(self) -> str:
        """Return the name of the format for messages."""
        return FORMATS[self.format].title if self.format in FORMATS else self.format

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count what became of some rows."""
        for outcome in outcomes:
            if isinstance(outcome.verdict, InvalidFix):
                self.rejected += 1
                self.missing.update(reasons.missing_fields(outcome.verdict))
                for reason in reasons.reasons(outcome.verdict):
                    _count(self.reasons, reasons.without_value(reason))
            elif outcome.verdict == "stored":
                self.stored += 1
            else:
                self.duplicate += 1

    def skip(self, kind: str) -> None:
        """Count something that is not a fix."""
        _count(self.skipped, kind)

    def warning(self) -> str:
        """Return why there is no fix from the file, or an empty string."""
        if self.is_failure:
            return self.problem
        if self.fixes or (self.format == "zip" and not self.problem):
            return ""
        if self.problem:
            return f"nothing imported: it seems to be {self.problem}"
        if self.rejected:
            reason = self.reasons.most_common(1)[0][0]
            return f"nothing imported: {quantity(self.rejected, 'row')} rejected ({reason})"
        if self.skipped:
            return f"nothing imported: {self.title} with {_listed(self.skipped)}, but without a fix"
        return f"nothing imported: {self.title} without a fix"

    def as_dict(self) -> dict[str, Any]:
        """Return the report for a script."""
        return {
            "file": self.file,
            "format": self.format or None,
            "stored": self.stored,
            "duplicate": self.duplicate,
            "rejected": self.rejected,
            "skipped": dict(self.skipped),
            "reasons": dict(self.reasons),
            "failed": self.is_failure,
            "problem": self.warning() or None,
        }


def _count(counter: Counter[str], kind: str) -> None:
    counter[kind if kind in counter or len(counter) < MAX_KINDS else _OTHERS] += 1


def total(reports: Iterable[FileReport]) -> FileReport:
    """Return the sums of several reports."""
    result = FileReport("total")
    for each in reports:
        result.stored += each.stored
        result.duplicate += each.duplicate
        result.rejected += each.rejected
        result.skipped += each.skipped
        result.reasons += each.reasons
        result.missing += each.missing
    return result


def as_dict(reports: list[FileReport]) -> dict[str, Any]:
    """Return the reports and their sums for a script."""
    sums = total(reports).as_dict()
    return {
        "files": [each.as_dict() for each in reports],
        **{key: sums[key] for key in ("stored", "duplicate", "rejected", "skipped", "reasons")},
    }


def succeeded(reports: list[FileReport]) -> bool:
    """Return whether every file was read and any had a fix."""
    return any(each.fixes for each in reports) and not any(each.is_failure for each in reports)


def counts(report: FileReport) -> str:
    """Return the numbers in one line."""
    return f"{report.stored:,} stored, {report.duplicate:,} duplicate, {report.rejected:,} rejected"


def lines(reports: list[FileReport]) -> Iterator[str]:
    """Yield the lines of a report for people."""
    sums = total(reports)
    yield from _table([*reports[:_SHOWN_FILES], *([sums] if len(reports) > 1 else [])])
    if len(reports) > _SHOWN_FILES:
        yield f"The table has the first {_SHOWN_FILES} of {len(reports):,} files."
    yield from _reason_lines(sums.reasons)
    for each in reports:
        if warning := each.warning():
            label = "failed" if each.is_failure else "warning"
            yield f"{label}: {each.file}: {warning}"
    if hint := _hint(sums, {each.title for each in reports if each.missing}):
        yield hint


def _table(reports: list[FileReport]) -> Iterator[str]:
    rows = [_COLUMNS, *map(_cells, reports)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for file, form, *numbers, skipped in rows:
        padded = [each.rjust(width) for each, width in zip(numbers, widths[2:], strict=False)]
        yield "  ".join([file.ljust(widths[0]), form.ljust(widths[1]), *padded, skipped]).rstrip()


def _cells(report: FileReport) -> tuple[str, ...]:
    numbers = (f"{each:,}" for each in (report.stored, report.duplicate, report.rejected))
    return (printable(report.file), report.format, *numbers, printable(_listed(report.skipped)))


def _listed(skipped: Counter[str]) -> str:
    """Return what was skipped, such as `2 visits and 1 activity`."""
    found = [quantity(count, kind) for kind, count in skipped.most_common(5)]
    if len(skipped) > len(found):
        found.append("more")
    return " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))


def _reason_lines(counter: Counter[str]) -> Iterator[str]:
    ranked = counter.most_common()
    for reason, count in ranked[:_SHOWN_REASONS]:
        yield f"{count:>9,}  {reason}"
    if more := ranked[_SHOWN_REASONS:]:
        yield f"{sum(count for _, count in more):>9,}  for {quantity(len(more), 'other reason')}"


def _hint(sums: FileReport, titles: set[str]) -> str:
    """Return which option gives the user that rows do not have, or an empty string."""
    if not sums.missing["user_id"]:
        return ""
    subject = f"{titles.pop()} names" if len(titles) == 1 else "The files name"
    return (
        f"{subject} no user in {quantity(sums.missing['user_id'], 'row')}: add --user USER, "
        "or --column user_id=NAME if the file has another name for it."
    )
