"""Files are imported one after the other; one that cannot be read does not end the import."""

import zipfile
from pathlib import Path

from pymongo.database import Database

from locapi.importers.importer import Importer
from locapi.ingest.store import FixStore
from locapi.storage.documents import Document
from tests.support.importing import MINE

GPX = (
    '<gpx><trk><trkseg><trkpt lat="40.7" lon="-74"><time>2017-01-01T18:05:12Z</time></trkpt>'
    "</trkseg></trk></gpx>"
)


def imported(db: Database[Document], *paths: Path, form: str | None = None) -> dict[str, int | str]:
    """Import files and return, by the end of its name, each one's fixes or why it has none."""
    importer = Importer(FixStore(db), MINE, form)
    for _ in importer.import_files(map(str, paths)):
        pass
    return {Path(each.file).name: each.warning() or each.fixes for each in importer.reports}


def test_xml_in_an_encoding_that_cannot_be_read_fails_and_the_next_file_is_imported(
    db: Database[Document], tmp_path: Path
) -> None:
    encodings = ("GB2312", "Shift_JIS", "UTF-7", "idna", "foo")
    paths = [tmp_path / f"{encoding}.gpx" for encoding in encodings]
    for path in paths:
        path.write_text(f'<?xml version="1.0" encoding="{path.stem}"?>{GPX}')
    (tmp_path / "last.gpx").write_text(GPX)
    wanted = {
        f"{encoding}.gpx": f"line 1: cannot read XML in the encoding {encoding}: "
        "convert the file to UTF-8 and remove the encoding from its first line"
        for encoding in encodings
    }
    for form in (None, "gpx"):
        found = imported(db, *paths, tmp_path / "last.gpx", form=form)
        assert found == {**wanted, "last.gpx": 1}


def test_a_zip_archive_in_a_folder_named_takeout_is_read_like_any_other(
    db: Database[Document], tmp_path: Path
) -> None:
    (tmp_path / "Takeout").mkdir()
    path = tmp_path / "Takeout" / "strava.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.gpx", GPX)
    assert imported(db, path) == {"a.gpx": 1}
