"""`locctl verify`."""

import click

from locapi.rollup.verify import Report
from locapi.rollup.verify import verify as find_drifts
from locapi.settings import Settings
from locapi.storage import mongo
from locapi.text import quantity
from locctl.output import row


@click.command()
@click.option("--repair", is_flag=True, help="Repair minutes that their raw fixes prove wrong.")
def verify(repair: bool) -> None:
    """Check that every minute is what its raw fixes prove.

    Each minute that drifted is a line on stdout: user, minute and fault, separated by tabs. So is
    each minute in quarantine, which --repair tries to fold again. Exits 1 if any is left.

    \b
    Example:
        locctl verify --repair
    """
    report = Report()
    with mongo.open_database(Settings.from_environ()) as database:
        for drift in find_drifts(database, report, repair=repair):
            note = " (repaired)" if drift.repaired else ""
            row(*drift.minute_id.split("\t"), f"{drift.fault}{note}")
    click.echo(_summary(report), err=True)
    if report.drifts + report.quarantined > report.repaired:
        raise SystemExit(1)


def _summary(report: Report) -> str:
    apart = f"{report.quarantined:,} in quarantine, " if report.quarantined else ""
    return (
        f"Checked {quantity(report.minutes, 'minute')} and "
        f"{quantity(report.fixes, 'raw fix')}: "
        f"{report.proven:,} proven by all their fixes, "
        f"{report.drifts:,} drifted, {apart}{report.repaired:,} repaired."
    )
