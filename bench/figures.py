"""The figures of a run: collected, printed as one table, written as JSON."""

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound that a figure is meant to keep."""

    relation: Literal["≤", "≥"]
    bound: float

    def is_met(self, value: float) -> bool:
        return value <= self.bound if self.relation == "≤" else value >= self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """
    One line of the table.

    :ivar raw: the same of raw libtorrent in this run, ``None`` where there is no such thing.
    """

    theme: str
    name: str
    value: float
    unit: str
    raw: float | None
    aim: Aim | None
    note: str

    @property
    def verdict(self) -> str:
        if self.aim is None:
            return ""
        return "ok" if self.aim.is_met(self.value) else "missed"


class Figures:
    """All figures of a run; each is also told when it is known."""

    def __init__(self, machine: dict[str, Any], parameters: dict[str, Any]) -> None:
        self._machine = machine
        self._parameters = parameters
        self._figures: list[Figure] = []
        self._remarks: list[str] = []

    def add(
        self,
        theme: str,
        name: str,
        value: float,
        unit: str,
        *,
        raw: float | None = None,
        at_most: float | None = None,
        at_least: float | None = None,
        note: str = "",
    ) -> None:
        """One figure, with the bound it is meant to keep, if there is one."""
        aim = Aim("≤", at_most) if at_most is not None else None
        aim = Aim("≥", at_least) if at_least is not None else aim
        self._figures.append(Figure(theme, name, value, unit, raw, aim, note))

    def remark(self, text: str) -> None:
        """A sentence below the table."""
        self._remarks.append(text)

    def print(self) -> None:
        """The machine, the table, the remarks."""
        for name, value in self._machine.items():
            print(f"{name:>12}  {value}")
        print()
        print(_table([_HEAD, *(_cells(figure) for figure in self._figures)]))
        for remark in self._remarks:
            print(f"  · {remark}")

    def write(self, path: Path) -> None:
        """Everything as JSON."""
        figures = [{**asdict(figure), "verdict": figure.verdict} for figure in self._figures]
        result = {
            "machine": self._machine,
            "parameters": self._parameters,
            "figures": figures,
            "remarks": self._remarks,
        }
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


_HEAD = ("", "figure", "measured", "unit", "raw lt", "ratio", "aim", "", "note")


def _cells(figure: Figure) -> tuple[str, ...]:
    raw = "" if figure.raw is None else shown(figure.raw)
    ratio = f"{figure.value / figure.raw:.2f}" if figure.raw else ""
    aim = "" if figure.aim is None else f"{figure.aim.relation} {figure.aim.bound:g}"
    return (
        figure.theme, figure.name, shown(figure.value), figure.unit,
        raw, ratio, aim, figure.verdict, figure.note,
    )  # fmt: skip


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    to_the_right = {2, 4, 5}
    lines = [
        "  ".join(
            cell.rjust(width) if i in to_the_right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "─" * max(map(len, lines)))
    return "\n".join(lines)


def shown(value: float) -> str:
    """Three digits that count, whole thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of all values lies."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def spread(values: Sequence[float]) -> str:
    """From the smallest to the largest."""
    return f"{shown(min(values))} to {shown(max(values))}"


def tell(text: str) -> None:
    """What goes on, beside the table."""
    print(text, file=sys.stderr, flush=True)
