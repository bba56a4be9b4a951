"""Import files one after the other."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import PurePath
from typing import NamedTuple

from locapi.errors import DatabaseUnavailable, Misconfigured
from locapi.importers import formats, input_file
from locapi.importers.detection import HEAD_BYTES, UnknownFormat, detect_format, suffix_of
from locapi.importers.fields import FieldMapping
from locapi.importers.formats import FORMATS
from locapi.importers.input_file import InputFile
from locapi.importers.pipeline import Outcome, import_rows
from locapi.importers.report import FileReport
from locapi.importers.row import BrokenFile, Row, Skipped
from locapi.ingest.store import FixStore


class Batch(NamedTuple):
    """What became of some rows of a file, and how many bytes of all files have been read."""

    file: str
    position: int
    outcomes: list[Outcome]


class Importer:
    """Imports files and keeps a report on each; `form` is their format, or None to detect it."""

    def __init__(
        self,
        store: FixStore,
        mapping: FieldMapping,
        form: str | None = None,
        on_retry: Callable[[DatabaseUnavailable], None] = lambda _: None,
    ) -> None:
        self.reports: list[FileReport] = []
        self.rows = 0
        self._bytes_before = 0  # of the files before the current one
        self._store = store
        self._mapping = mapping
        self._form = form
        self._on_retry = on_retry

    def import_files(self, names: Iterable[str]) -> Generator[Batch, None, None]:
        """Import files in order and yield what became of their rows, batch by batch.

        A file that cannot be read is reported, and the next one follows. Raises
        DatabaseUnavailable as `import_rows` does.
        """
        for name in names:
            report = self._new_report(name)
            with _record_problems(report), input_file.opened(name) as file:
                report.file = file.name
                if input_file.is_archive(file):
                    yield from self._import_archive(file, report)
                else:
                    yield from self._import_file(file, report, self._form or _detect(file))
                self._bytes_before += file.size or 0

    def _new_report(self, name: str) -> FileReport:
        report = FileReport(name)
        self.reports.append(report)
        return report

    def _import_archive(
        self, archive: InputFile, report: FileReport
    ) -> Generator[Batch, None, None]:
        """Import the files in a zip archive that have a known format, and count the others."""
        report.format = "zip"
        for name, opened_member in input_file.members(archive):
            member_report = self._new_report(f"{archive.name}/{name}")
            with _record_problems(member_report), opened_member as member:
                form = self._member_format(member, name)
                if form is None:
                    report.skip("other file")
                    self.reports.pop()
                else:
                    yield from self._import_file(member, member_report, form)
        if self.reports[-1] is report:
            raise UnknownFormat("a zip archive without a file in a known format")
        if not report.skipped:
            self.reports.remove(report)

    def _member_format(self, member: InputFile, name: str) -> str | None:
        """Return the format of a file in an archive, or None if it is not for import."""
        suffix = suffix_of(name)
        if self._form and suffix in FORMATS[self._form].suffixes:
            return self._form
        try:
            form = _detect(member)
        except UnknownFormat:
            return None
        if self._form:
            return form if form == self._form else None
        if form == "csv" and suffix not in FORMATS["csv"].suffixes:
            return None  # any text with a comma begins like CSV
        if "Takeout" in PurePath(name).parts and form != "google":
            return None  # Takeout has much else that is JSON or CSV
        return form

    def _import_file(
        self, file: InputFile, report: FileReport, form: str
    ) -> Generator[Batch, None, None]:
        report.format = form
        mapping = FORMATS[form].mapping(self._mapping)
        with (
            closing(read_rows(file, form, mapping, report.skip)) as rows,
            closing(import_rows(self._store, rows, self._on_retry)) as batches,
        ):
            for outcomes in batches:
                report.add(outcomes)
                self.rows += len(outcomes)
                yield Batch(file.name, self._bytes_before + file.position(), outcomes)


@contextmanager
def _record_problems(report: FileReport) -> Iterator[None]:
    """Record in a report why its file cannot be imported."""
    try:
        yield
    except UnknownFormat as error:
        report.problem = str(error)
    except (BrokenFile, Misconfigured) as error:
        report.problem, report.is_failure = str(error), True


def _detect(file: InputFile) -> str:
    with input_file.translate_errors():
        head = file.stream.peek(HEAD_BYTES)
    return detect_format(head, file.name)


def read_rows(
    file: InputFile,
    form: str,
    mapping: FieldMapping,
    on_skip: Callable[[str], None] = lambda _: None,
) -> Generator[Row, None, None]:
    """Yield a file's rows in order, in memory that does not grow with the file.

    Calls `on_skip` with the kind of what is passed over. Raises BrokenFile where the
    file breaks off, after every row before that place.
    """
    after = ""
    try:
        with (
            input_file.translate_errors(),
            closing(formats.load(form)(file.stream, mapping)) as found,
        ):
            for each in found:
                if isinstance(each, Skipped):
                    on_skip(each.kind)
                else:
                    after = f" (after {each.place}; what comes before is imported)"
                    yield each
    except BrokenFile as error:
        raise BrokenFile(f"{error}{after}") from error
