"""`locctl completion`."""

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

_SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command()
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    Save it where your shell looks for such scripts, and open a new shell.

    \b
    Example:
        locctl completion bash > ~/.local/share/bash-completion/completions/locctl
        locctl completion zsh > ~/.zfunc/_locctl
        locctl completion fish > ~/.config/fish/completions/locctl.fish
    """
    complete = _SHELLS[shell](ctx.find_root().command, {}, "locctl", "_LOCCTL_COMPLETE")
    click.echo(complete.source())
