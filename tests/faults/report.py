"""Report the effects of faults on clients, and the answers that no client may get."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from tests.faults.load import BROKEN, Attempt, Load

# Where connections may break: while what held them is gone.
BREAKS = ("worker killed", "API's parent killed")


@dataclass(frozen=True)
class Fault:
    """One fault, by the monotonic clock: when it came, and when all clients were served again.

    `since` is when there was a primary, the new one where it took one, and `commits`
    when that had a majority acknowledge a write of the harness's own.
    """

    kind: str
    began: float
    since: float
    commits: float
    ended: float


@dataclass(frozen=True)
class Effect:
    """What clients saw of one fault: counts, and seconds since the API could answer."""

    kind: str
    failed: int
    broken: int
    commits_s: float
    first_200_s: float
    all_served_s: float
    slowest_s: float

    @property
    def beside_database_s(self) -> float:
        """Return the seconds from the database's first write to the API's first 200."""
        return self.first_200_s - self.commits_s


def effects(load: Load, faults: Iterable[Fault]) -> list[Effect]:
    """Return what clients saw of each fault."""
    attempts = list(load.attempts())
    return [_effect(fault, attempts) for fault in faults]


def _effect(fault: Fault, attempts: list[Attempt]) -> Effect:
    within = [each for each in attempts if _overlaps(each, fault)]
    first = min(
        each.ended
        for each in within
        if each.code == 200 and each.began > fault.began and each.ended > fault.since
    )
    return Effect(
        fault.kind,
        failed=sum(each.code == 500 for each in within),
        broken=sum(each.code == BROKEN for each in within),
        commits_s=fault.commits - fault.since,
        first_200_s=first - fault.since,
        all_served_s=fault.ended - fault.since,
        slowest_s=max(each.ended - each.began for each in within),
    )


def unexcused(load: Load, faults: list[Fault]) -> Iterator[str]:
    """Yield a sentence for each answer that no client may get: other codes, broken connections.

    A connection may break while a process of the API is killed; where that is one
    worker, each client has one connection to lose.
    """
    breaking = [fault for fault in faults if fault.kind in BREAKS]
    for client in load.clients:
        lost_with: dict[Fault, int] = defaultdict(int)
        for attempt in (each for entry in client.entries for each in entry.attempts):
            if attempt.code in (200, 500):
                continue
            excuse = next((fault for fault in breaking if _overlaps(attempt, fault)), None)
            if attempt.code != BROKEN or excuse is None:
                yield f"a client got {attempt.code} {attempt.body} at {attempt.began:.1f}"
            else:
                lost_with[excuse] += 1
        for fault, count in lost_with.items():
            if fault.kind == "worker killed" and count > 1:
                yield f"a client lost {count} connections with one worker"


def _overlaps(attempt: Attempt, fault: Fault) -> bool:
    return attempt.began <= fault.ended and attempt.ended >= fault.began


def table(found: list[Effect]) -> Iterator[str]:
    """Yield the lines of a table, a kind of fault each; times as median / most, in seconds."""
    row = "{:<30}{:>6}{:>6}{:>8}{:>14}{:>14}{:>14}{:>9}".format
    yield row("", "times", "500s", "broken", "commits", "first 200", "all served", "slowest")
    kinds: dict[str, list[Effect]] = defaultdict(list)
    for effect in found:
        kinds[effect.kind].append(effect)
    for kind, group in kinds.items():
        yield row(
            kind,
            len(group),
            sum(effect.failed for effect in group),
            sum(effect.broken for effect in group),
            _spread([effect.commits_s for effect in group]),
            _spread([effect.first_200_s for effect in group]),
            _spread([effect.all_served_s for effect in group]),
            f"{max(effect.slowest_s for effect in group):.2f}",
        )


def _spread(seconds: list[float]) -> str:
    return f"{median(seconds):.2f} / {max(seconds):.2f}"
