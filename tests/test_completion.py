"""Tab in bash, zsh and fish, as they really do it; where a shell is not at hand, its protocol."""

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.test_end_to_end import DEADLINE_S, LOCCTL

BEGIN = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
SETTLE = {
    "bash": "source <(locctl completion bash); PS1=; bind 'set show-all-if-ambiguous on'",
    "zsh": "autoload -U compinit; compinit -u -d {home}/dump; PS1="
    "; source <(locctl completion zsh)",
}
# What is typed before Tab, and what must then stand there.
TYPED = {
    "rol": ["rollup"],
    "--qui": ["--quiet"],
    "token ": ["add", "list", "revoke"],
    "token rev": ["revoke"],
    "rollup --wat": ["--watch"],
    "export --format nd": ["ndjson"],
    "completion ": ["bash", "fish", "zsh"],
    "export -o minu": ["minutes.csv"],
}


class Terminal:
    """A shell at a terminal, to which one types."""

    def __init__(self, command: list[str], home: Path) -> None:
        self._end, child = pty.openpty()
        path = f"{LOCCTL.parent}:{os.environ['PATH']}"
        environ = {"PATH": path, "HOME": str(home), "TERM": "dumb", "COLUMNS": "100"}
        self._shell = subprocess.Popen(
            command, stdin=child, stdout=child, stderr=child, cwd=home, env=environ,
            start_new_session=True,
        )  # fmt: skip
        os.close(child)

    def type(self, text: str, *wanted: str) -> str:
        """Type, and read until all that is wanted was shown."""
        os.write(self._end, text.encode())
        shown, deadline = "", time.monotonic() + DEADLINE_S
        while not all(each in shown for each in wanted):
            assert time.monotonic() < deadline, (text, wanted, shown)
            if select.select([self._end], [], [], 0.1)[0]:
                shown += os.read(self._end, 10_000).decode(errors="replace")
        return shown

    def close(self) -> None:
        self._shell.kill()
        self._shell.wait(DEADLINE_S)
        os.close(self._end)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "minutes.csv").touch()
    return tmp_path


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completes_in(shell: str, home: Path) -> None:
    if shutil.which(shell) is None:
        speak_the_protocol(shell, home)
        return
    terminal = Terminal(BEGIN[shell], home)
    try:
        terminal.type(SETTLE[shell].format(home=home) + "\necho set''tled\n", "settled")
        for typed, wanted in TYPED.items():
            # Typed in two halves, so that what is wanted is not what was typed.
            terminal.type(f"locctl {typed}\t\t", *wanted)
            terminal.type("\x15echo cle''ared\n", "cleared")
    finally:
        terminal.close()


def test_tab_completes_in_fish(home: Path) -> None:
    if shutil.which("fish") is None:
        speak_the_protocol("fish", home)
        return
    for typed, wanted in TYPED.items():
        script = f"locctl completion fish | source; complete --do-complete 'locctl {typed}'"
        done = subprocess.run(
            ["fish", "--no-config", "--command", script],
            env={"PATH": f"{LOCCTL.parent}:{os.environ['PATH']}", "HOME": str(home)},
            cwd=home, capture_output=True, text=True, timeout=DEADLINE_S,
        )  # fmt: skip
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == wanted, done.stderr


def speak_the_protocol(shell: str, home: Path) -> None:
    for typed, wanted in TYPED.items():
        *words, incomplete = typed.split(" ")
        asked = {
            "COMP_WORDS": " ".join(["locctl", *words, *([incomplete] if shell != "fish" else [])]),
            "COMP_CWORD": incomplete if shell == "fish" else str(len(words) + 1),
            "_LOCCTL_COMPLETE": f"{shell}_complete",
        }
        done = subprocess.run(
            [LOCCTL], env={**os.environ, **asked}, cwd=home, capture_output=True, text=True
        )
        assert done.returncode == 0
        if wanted != ["minutes.csv"]:  # files are the shell's own to find
            assert all(each in done.stdout for each in wanted)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_protocol_answers(shell: str, home: Path) -> None:
    speak_the_protocol(shell, home)
