"""`locctl verify`."""

import click

from locapi import mongo
from locapi.settings import Settings
from locapi.verify import Report
from locapi.verify import verify as find_drifts


@click.command()
@click.option("--repair", is_flag=True, help="Mend what the raw fixes prove wrong.")
def verify(repair: bool) -> None:
    """Check that every minute is what its raw fixes prove.

    Each drift is a line on standard output: user, minute and fault, separated by
    tabs. Exits 1 if any is left.

    \b
    Example:
        locctl verify --repair
    """
    report = Report()
    with mongo.open_database(Settings.from_environ()) as database:
        for drift in find_drifts(database, report, repair=repair):
            mended = " (repaired)" if drift.repaired else ""
            click.echo(f"{drift.minute_id}\t{drift.fault}{mended}")
    click.echo(
        f"{report.minutes:,} minutes and {report.fixes:,} raw fixes checked: "
        f"{report.proven:,} minutes proven by all their fixes, "
        f"{report.drifts:,} drifted, {report.repaired:,} repaired",
        err=True,
    )
    if report.drifts > report.repaired:
        raise SystemExit(1)
