"""Tab completion: in bash on a terminal, and by the protocol that each shell's script uses."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import LOCCTL
from tests.support.terminal import Terminal

# What is typed before Tab, and the completions.
TYPED = {
    "rol": ["rollup"],
    "--qui": ["--quiet"],
    "token ": ["add", "list", "revoke"],
    "token rev": ["revoke"],
    "rollup --wat": ["--watch"],
    "export --format nd": ["ndjson"],
    "completion ": ["bash", "fish", "zsh"],
}
SET_UP = "source <(locctl completion bash); PS1=; bind 'set show-all-if-ambiguous on'"


def test_tab_completes_words_and_files_in_bash(tmp_path: Path) -> None:
    (tmp_path / "minutes.csv").touch()
    path = f"{LOCCTL.parent}:{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(tmp_path), "TERM": "dumb", "COLUMNS": "100"}
    with Terminal(["bash", "--norc", "--noprofile", "-i"], environ, tmp_path) as terminal:

        def type_and_wait(text: str, *wanted: str) -> None:
            terminal.sent = ""
            terminal.type(text)
            terminal.read_until(lambda _: all(each in terminal.sent for each in wanted))

        # The words to wait for are typed in two halves, so that their echo is not mistaken.
        type_and_wait(f"{SET_UP}\necho set''up\n", "setup")
        for typed, wanted in {**TYPED, "export -o minu": ["minutes.csv"]}.items():
            type_and_wait(f"locctl {typed}\t\t", *wanted)
            type_and_wait("\x15echo cle''ared\n", "cleared")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_protocol_returns_the_completions(shell: str) -> None:
    assert f"_LOCCTL_COMPLETE={shell}_complete" in run("completion", shell)
    for typed, wanted in TYPED.items():
        *words, incomplete = typed.split(" ")
        request = {
            "COMP_WORDS": " ".join(["locctl", *words, *([incomplete] if shell != "fish" else [])]),
            "COMP_CWORD": incomplete if shell == "fish" else str(len(words) + 1),
            "_LOCCTL_COMPLETE": f"{shell}_complete",
        }
        completions = run(**request)
        assert all(each in completions for each in wanted)


def run(*words: str, **environ: str) -> str:
    done = subprocess.run(
        [LOCCTL, *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
