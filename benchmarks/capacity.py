"""Predict the resources that a load needs, from measurements on one machine, without I/O."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from statistics import fmean

DENSE_S, SPARSE_S = 1, 30  # seconds between two fixes of a user
RHYTHMS = (DENSE_S, SPARSE_S)
FIT = (4_000, 32_000)  # fixes from which the costs are calculated
CHECK = (8_000, 16_000)  # fixes at which they are checked
DAY_S, MINUTE_S = 86_400, 60
WITHIN = 0.25

# What is taken at the insert, where no minutes are made; the rest is taken by minutes too.
AT_INSERT = ("api_cpu", "insert_cpu", "insert_oplog", "fix_disk")

Measured = Mapping[tuple[str, int, int], float]  # by quantity, rhythm and fixes


@dataclass(frozen=True)
class Cost:
    """The cost of each fix, and of each minute that the fixes make."""

    fix: float
    minute: float = 0.0

    def of(self, fixes: float, minutes: float) -> float:
        """Return the cost of so many fixes in so many minutes."""
        return self.fix * fixes + self.minute * minutes


@dataclass(frozen=True)
class Costs:
    """The costs of locapi: µs of a core, and bytes."""

    api_cpu: Cost
    insert_cpu: Cost
    insert_oplog: Cost
    fix_disk: Cost
    fold_cpu: Cost
    fold_oplog: Cost
    minute_disk: Cost
    prune_cpu: Cost
    prune_oplog: Cost
    keys_cpu: Cost  # to give a router the keys among which it finds a window's end


@dataclass(frozen=True)
class Load:
    """So many users, each with a fix every so many seconds."""

    users: int
    rhythm_s: float

    @property
    def fixes(self) -> float:
        """Return the fixes a second."""
        return self.users / self.rhythm_s

    @property
    def minutes(self) -> float:
        """Return the minutes with a fix, a second."""
        return self.users / max(MINUTE_S, self.rhythm_s)


@dataclass(frozen=True)
class Assumed:
    """What machines are like, how full they may be, and how long data is kept."""

    busy: float = 0.5  # of a core, so that bursts and the loss of a machine find room
    shard_cores: int = 16
    shard_disk: float = 4e12
    full: float = 0.7  # of a disk
    raw_days: float = 7.0
    minute_days: float = 365.0
    windows_at_once: int = 2  # in which a roll-up folds, each on a core


@dataclass(frozen=True)
class Need:
    """What a load needs: cores, bytes a day, bytes kept, processes, shards."""

    fixes: float
    api_cores: float
    mongod_cores: float
    rollups: int
    raw_day: float
    minutes_day: float
    oplog_day: float
    disk: float
    shards: int | None  # None where no number is enough
    first: str  # what determines how many shards


def need(load: Load, costs: Costs, assumed: Assumed | None = None) -> Need:
    """Return what a load needs."""
    assumed = assumed or Assumed()
    core_us = 1e6 * assumed.busy
    fold_us = costs.fold_cpu.of(load.fixes, load.minutes)
    mongod_us = (
        costs.insert_cpu.of(load.fixes, load.minutes)
        + fold_us
        + costs.prune_cpu.of(load.fixes, load.minutes)
    )
    raw_day = DAY_S * costs.fix_disk.of(load.fixes, 0)
    minutes_day = DAY_S * costs.minute_disk.of(load.fixes, load.minutes)
    raw, minutes = raw_day * assumed.raw_days, minutes_day * assumed.minute_days
    # Each shard gives the keys of its part of a window, and a router asks each for a whole one.
    left = assumed.shard_cores - costs.keys_cpu.of(load.fixes, load.minutes) / core_us
    room = assumed.shard_disk * assumed.full
    asked = {
        "mongod's cores": mongod_us / core_us / left if left > 0 else math.inf,
        "disk space for raw fixes": (raw + minutes) / room if raw >= minutes else 0.0,
        "disk space for minutes": (raw + minutes) / room if minutes > raw else 0.0,
    }
    first = max(asked, key=lambda name: asked[name])
    return Need(
        fixes=load.fixes,
        api_cores=costs.api_cpu.of(load.fixes, load.minutes) / core_us,
        mongod_cores=mongod_us / core_us,
        rollups=math.ceil(fold_us / core_us / assumed.windows_at_once),
        raw_day=raw_day,
        minutes_day=minutes_day,
        oplog_day=DAY_S * _oplog(load, costs),
        disk=raw + minutes,
        shards=None if left <= 0 else max(1, math.ceil(asked[first])),
        first=first if left > 0 else "finding a window's end, on each shard",
    )


def _oplog(load: Load, costs: Costs) -> float:
    each = (costs.insert_oplog, costs.fold_oplog, costs.prune_oplog)
    return sum(cost.of(load.fixes, load.minutes) for cost in each)


def fit(measured: Measured) -> Costs:
    """Calculate the costs from the measurements of two sizes and two rhythms."""
    return Costs(**{each.name: _cost(each.name, measured) for each in fields(Costs)})


def _cost(quantity: str, measured: Measured) -> Cost:
    dense, _ = line(quantity, DENSE_S, measured)
    if quantity in AT_INSERT:
        return Cost(max(0.0, dense))
    sparse, _ = line(quantity, SPARSE_S, measured)
    few, many = (Load(1, rhythm).minutes / Load(1, rhythm).fixes for rhythm in RHYTHMS)
    minute = max(0.0, (sparse - dense) / (many - few))
    # Noise may make one of them less than nothing where the other is nearly all.
    fix = dense - minute * few if minute else fmean((dense, sparse))
    return Cost(max(0.0, fix), minute)


def line(quantity: str, rhythm: int, measured: Measured) -> tuple[float, float]:
    """Return slope and start of the line through what was measured at the two sizes."""
    (few, low), (many, high) = ((size, measured[quantity, rhythm, size]) for size in FIT)
    slope = (high - low) / (many - few)
    return slope, low - slope * few


def predicted(quantity: str, rhythm: int, fixes: int, measured: Measured) -> float:
    """Return what the line predicts for a size."""
    slope, start = line(quantity, rhythm, measured)
    return start + slope * fixes
