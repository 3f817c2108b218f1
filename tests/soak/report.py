"""A soak's result, as a page of the documentation and as lines to read meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from bench.machine import describe
from tests.soak.course import KILL, PAYLOAD, PEACE, STATE, TERM, Measure, Outcome
from tests.soak.samples import Trend

MOST_GROWTH = 1.0
"""MiB per minute."""
SPREAD = 0.05
"""What connections that come and go may make of a number of descriptors; of threads none come and go."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Aim:
    name: str
    measured: str
    met: bool


def aims(outcome: Outcome, measure: Measure, *, judge_growth: bool) -> list[Aim]:
    """What was to be shown."""
    found = []
    growth = outcome.growth
    if judge_growth and growth is not None:
        rate = growth.rate / MIB
        found += [
            Aim("memory grows less than 1 MiB/min", f"{rate:+.2f} MiB/min", rate < MOST_GROWTH),
            Aim("descriptors stay", _trend(growth.descriptors), _flat(growth.descriptors, SPREAD, 4)),
            Aim("threads stay", _trend(growth.threads), _flat(growth.threads, SPREAD, 4)),
        ]
    ups = [result.up for result in outcome.of_kind(KILL, TERM, STATE, PAYLOAD)]
    changes = sum(deed.result.answers for deed in outcome.deeds)
    found += [
        Aim("no answer is lost", f"{len(outcome.lost)} of {changes} answered changes", not outcome.lost),
        Aim("no traceback is logged", str(outcome.tracebacks), not outcome.tracebacks),
        Aim(
            f"up within {measure.up_within:g} s of each start",
            f"{max(ups, default=0):.2f} s at most",
            bool(ups) and max(ups) <= measure.up_within,
        ),
        Aim("nothing else is at fault", f"{len(outcome.faults)} faults", not outcome.faults),
    ]
    if outcome.healed:
        longest = max(one.seconds for one in outcome.healed)
        found.append(Aim("health heals after each full disk", f"{longest:.1f} s at most", True))
    return found


def _flat(trend: Trend, share: float, few: float) -> bool:
    return trend.growth <= max(few, share * trend.first)


def _trend(trend: Trend) -> str:
    return f"{trend.first:.0f} in the first quarter, {trend.last:.0f} in the last"


def page(outcome: Outcome, measure: Measure, seed: int, met: Sequence[Aim]) -> str:
    """reStructuredText."""
    tally = outcome.tally
    return PAGE.format(
        run=_table(("", ""), _run(outcome, seed)),
        aims=_table(
            ("aim", "measured", "met"), [(a.name, a.measured, "yes" if a.met else "**no**") for a in met]
        ),
        figures=_table(("", "after the warm-up", "at the end"), _figures(outcome)),
        half=tally.quantile(0.5) * 1000,
        most=tally.quantile(0.99) * 1000,
        compared=outcome.compared,
        downloads=outcome.downloads,
        deeds=_table(
            ("what befell it", "times", "up again: median", "at most", "changes answered", "lost"),
            _deeds(outcome),
        ),
        heals=_heals(outcome),
        answers=_table(
            ("client", "answers"),
            [
                (who, ", ".join(f"{answer}: {count}" for answer, count in sorted(answers.items())))
                for who, answers in sorted(tally.answers.items())
            ],
        ),
        faults=_faults(outcome),
    )


def _run(outcome: Outcome, seed: int) -> list[tuple[str, str]]:
    machine = describe()
    peace, war = outcome.seconds
    rest, live = outcome.clients
    versions = ", ".join(
        f"{name} {machine[name]}" for name in ("resttorrent", "python", "libtorrent", "twisted")
    )
    return [
        ("date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("machine", str(machine["machine"])),
        ("versions", versions),
        ("seed", str(seed)),
        ("first phase", f"{peace:.0f} s, of which {outcome.warm_up:.0f} s to warm up"),
        ("second phase", f"{war:.0f} s, {len(outcome.deeds) - 1} lives"),
        ("clients", f"{rest} by REST, {live} by Socket.IO"),
    ]


def _figures(outcome: Outcome) -> list[tuple[str, str, str]]:
    assert outcome.growth is not None
    first, last = outcome.growth.samples[0], outcome.growth.samples[-1]
    return [
        ("memory", f"{first.anonymous / MIB:.1f} MiB", f"{last.anonymous / MIB:.1f} MiB"),
        ("descriptors", str(first.descriptors), str(last.descriptors)),
        ("threads", str(first.threads), str(last.threads)),
        ("sessions", str(first.sessions), str(last.sessions)),
        ("torrents", str(first.torrents), str(last.torrents)),
    ]


def _deeds(outcome: Outcome) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for kind in (PEACE, KILL, TERM, STATE, PAYLOAD):
        results = outcome.of_kind(kind)
        if results:
            ups = [result.up for result in results]
            lost = sum(len(result.lost) for result in results)
            answers = sum(result.answers for result in results)
            times = f"{median(ups):.2f} s", f"{max(ups):.2f} s"
            rows.append((kind, str(len(results)), *times, str(answers), str(lost)))
    return rows


def _heals(outcome: Outcome) -> str:
    if not outcome.healed:
        return "Full disks were left out: they need root, and mount namespaces.\n"
    rows = []
    for disk, meaning in (("state", "changes were refused"), ("payload", "torrents had an error")):
        spells = [one for one in outcome.healed if one.disk == disk]
        hit = sum(one.refused for one in spells)
        longest = max((one.seconds for one in spells), default=0.0)
        rows.append((f"the {disk}'s", str(len(spells)), f"{meaning} in {hit}", f"{longest:.1f} s"))
    return _table(("full disk", "times", "what was felt", "all well after, at most"), rows)


def _faults(outcome: Outcome) -> str:
    if not outcome.faults:
        return ""
    said = [f"- ``{fault.replace('`', '')[:300].strip()}``" for fault in outcome.faults[:20]]
    return "\n".join(("", "Faults", "======", "", *said, ""))


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A list table: cells may be of any length."""
    titled = any(titles)
    lines = [".. list-table::", *(["   :header-rows: 1"] if titled else []), ""]
    for row in [titles, *rows] if titled else rows:
        lines += [f"   {'*' if number == 0 else ' '} - {cell}".rstrip() for number, cell in enumerate(row)]
    return "\n".join((*lines, ""))


PAGE = """\
====
Soak
====

``make soak`` puts a daemon under the load of a swarm, of clients that keep to the rules and of clients that
do not: first in peace, then with kills and full disks. ``make soak MINUTES=60`` takes an hour, ``SEED=1``
repeats a run's dice. It writes this page; what follows is of its last run.

{run}
Aims
====

{aims}
The first phase
===============

Two sessions that are stored and some that come and go, downloads from a swarm and by a leech, torrents that
are added, stopped, started and removed. Memory is what the process has of its own (``RssAnon``), its growth
the slope of the line that fits best; what is said above of descriptors and threads are medians, without
what more or fewer sessions have.

{figures}
Of all answers to clients that keep to the rules, both phases together, half came within {half:.0f} ms, 99
of 100 within {most:.0f} ms. {compared} tables that were kept by deltas were compared with fresh lists,
{downloads} downloads from the daemon with what was seeded.

The second phase
================

After each end and start, all that was answered is there; what was asked and not answered is wholly there or
not at all; nothing complete is checked again. Some kills are followed by another one during the start. A
life with a full disk ends by a kill or in order.

{deeds}
{heals}
Who asked, and the answers
==========================

By status, by the error's code on Socket.IO, or by what else became of it. *Broken off* are visits that the
daemon's end cut short, *down* those that found none.

{answers}{faults}"""
