"""Render reference tables from the code; `make reference` writes them into the pages."""

from collections.abc import Iterable, Iterator, Sequence
from importlib import resources

import click
import yaml
from locctl.main import SECTIONS, locctl

from locapi import settings
from ops import metrics
from ops.alarms import ALARMS, Alarm

WIDTH = 80
DATA_COMMANDS = {name for name, _, _ in SECTIONS["Data in and out"]}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def settings_table() -> str:
    """Return a row for each setting."""
    rows = [(f"`{row['variable']}`", row["shown"], row["doc"]) for row in settings.describe()]
    return table(["variable", "default", "description"], rows)


def endpoints_table() -> str:
    """Return a row for each method of each path of the OpenAPI document."""
    document = yaml.safe_load(resources.files("locapi.api").joinpath("openapi.yaml").read_bytes())
    rows = [
        (f"`{method.upper()} {path}`", operation["summary"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    return table(["request", "what it does"], rows)


def metrics_table() -> str:
    """Return a row for each metric of `GET /metrics`, with the alarms that watch it."""
    rows = [
        (
            f"`{metric.name}`",
            f"{metric.type}{': ' if metric.labels else ''}{', '.join(metric.labels)}",
            metric.meaning,
            ", ".join(_link(alarm) for alarm in ALARMS if alarm.metric == metric.name),
        )
        for metric in metrics.declared()
    ]
    return table(["name", "type: labels", "meaning", "alarms"], rows)


def alarms_table() -> str:
    """Return a row for each alarm of Prometheus' rules file."""
    rows = [
        (_link(alarm), f"`{alarm.expression}`".replace("|", r"\|"), alarm.lasts, alarm.severity)
        for alarm in ALARMS
    ]
    return table(["alarm", "fires when", "holds for", "severity"], rows)


def _link(alarm: Alarm) -> str:
    return f"[{alarm.name}](#{alarm.name.lower()})"


def commands_table() -> str:
    """Return a row for each command, with its help in a line."""
    rows = [
        (f"[`{path}`]({_page(path)}#{path.replace(' ', '-')})", short)
        for path, short in ((context.command_path, short) for context, short in _commands())
    ]
    return table(["command", "what it does"], rows)


def commands_help(page: str) -> str:
    """Return a section for each command of a page, with what its `--help` prints."""
    return "\n".join(
        f"\n## {context.command_path}\n\n```text\n{context.get_help()}\n```"
        for context, _ in _commands()
        if _page(context.command_path) == page
    )


def _page(command_path: str) -> str:
    is_data = command_path.split()[1] in DATA_COMMANDS
    return "COMMANDS_DATA.md" if is_data else "COMMANDS.md"


def _commands() -> Iterator[tuple[click.Context, str]]:
    top = click.Context(locctl, info_name="locctl", terminal_width=WIDTH, **locctl.context_settings)
    yield from _below(locctl, top)


def _below(group: click.Group, above: click.Context) -> Iterator[tuple[click.Context, str]]:
    for name in group.list_commands(above):
        command = group.commands[name]
        context = click.Context(command, above, name)
        yield context, command.get_short_help_str(WIDTH)
        if isinstance(command, click.Group):
            yield from _below(command, context)
