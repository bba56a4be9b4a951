"""The manual's commands save, delete and restore the data and the secrets."""

from tests.support.compose import Stack
from tests.support.pages import run_marked


def test_restored_backup_is_what_was_saved(stack: Stack) -> None:
    for number in range(50):
        assert stack.put(user_id="saved", timestamp=f"2017-01-01 13:{number:02}:00")[0] == 200
    stack.locctl("rollup")
    before = stack.minutes()
    run_marked("BACKUP.md", "backup of compose", stack.directory, stack.environ)
    stack.until(lambda: stack.put(user_id="after the backup")[0] == 200, "the API is back")

    run_marked("BACKUP.md", "restore of compose", stack.directory, stack.environ)

    assert stack.minutes() == before
    assert stack.put(user_id="saved", timestamp="2017-01-01 13:00:00") == (200, "duplicate")
    assert stack.put(user_id="after the backup") == (200, "stored")
