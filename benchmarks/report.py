"""What a run leaves: the table on the screen and as Markdown, every sample as JSON, the ratios as a plot."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
from benchmarks.content import Sizes
from benchmarks.table import ENTREPOT, NGINX, REGISTRY, ROWS, Row, Samples
from matplotlib.figure import Figure

__all__ = ["Report"]

_HEAD = ("", "Distribution", "Entrepot", "bar", "met")
_COLOURS = {REGISTRY: "#b8b8b8", ENTREPOT: "#2b6cb0"}


@dataclass(frozen=True, slots=True)
class Report:
    samples: Mapping[str, Samples]
    failures: Sequence[str]
    sizes: Sizes
    rounds: int
    versions: Mapping[str, str]

    def lines(self) -> list[str]:
        """Return the Markdown table."""
        rows = [_HEAD, ("---",) * len(_HEAD), *(self._cells(row) for row in ROWS)]
        return ["| " + " | ".join(cells) + " |" for cells in rows]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "latest.json").write_text(json.dumps(self._document(), indent=1) + "\n")
        (folder / "results.md").write_text(
            "\n".join([*self._introduction(), *self.lines(), *self._end(), ""])
        )
        self._draw(folder / "results.svg")

    @property
    def misses(self) -> list[str]:
        """Return the titles of the rows whose bar is not met."""
        return [self._title(row) for row in ROWS if not row.is_met(self._value(row, ENTREPOT))]

    def _value(self, row: Row, contestant: str) -> float | None:
        return row.value(self.samples.get(row.key, {}), contestant)

    def _title(self, row: Row) -> str:
        return row.title.format(**{name: _size(getattr(self.sizes, name)) for name in self.sizes.__slots__})

    def _cells(self, row: Row) -> tuple[str, ...]:
        value = self._value(row, ENTREPOT)
        shown = self._title(row), self._shown(row, REGISTRY), self._shown(row, ENTREPOT)
        if row.bar is None:
            return *shown, "", ""
        met = "yes" if row.is_met(value) else "**no**"
        return *shown, f"{'≥' if row.at_least else '≤'} {row.bar:g}", met

    def _shown(self, row: Row, contestant: str) -> str:
        value = self._value(row, contestant)
        if value is None:
            return "not measured"
        if not row.ratio:
            return f"{value:.3g} {row.unit}".strip()
        own = row.absolute(self.samples[row.key], contestant)
        return f"{value:.3f} ({own:,.0f} {row.unit})"

    def _introduction(self) -> list[str]:
        return [
            "# Results",
            "",
            f"Medians of {self.rounds} rounds in one run on {os.cpu_count()} cores, contestants in turn.",
            "Small answers are measured by turns of a second, several in a round.",
            "A ratio is to nginx serving the same bytes as static files, round by round;",
            "in brackets, the figure itself.",
            "",
            "![Ratios to nginx](results.svg)",
            "",
        ]

    def _end(self) -> list[str]:
        limits = [
            f"{self._title(row)} {limit:,.0f} {row.unit}"
            for row in ROWS
            if row.ratio and (limit := row.absolute(self.samples.get(row.key, {}), NGINX)) is not None
        ]
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        failures = ["", "Failed:", "", *(f"- {_first_line(failure)}" for failure in self.failures)]
        return [
            "",
            f"nginx itself: {'; '.join(limits)}.",
            "",
            f"With {versions}.",
            *(failures if self.failures else []),
        ]

    def _document(self) -> dict[str, object]:
        return {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {"cores": os.cpu_count(), "system": platform.platform()},
            "versions": dict(self.versions),
            "rounds": self.rounds,
            "rows": [
                {
                    "key": row.key,
                    "title": self._title(row),
                    "unit": "ratio to nginx" if row.ratio else row.unit,
                    "bar": row.bar,
                    "value": self._value(row, ENTREPOT),
                    "met": row.is_met(self._value(row, ENTREPOT)),
                    "samples": self.samples.get(row.key, {}),
                }
                for row in ROWS
            ],
            "failures": list(self.failures),
        }

    def _draw(self, target: Path) -> None:
        """Draw the rows that are ratios, each with its bar as a mark."""
        mpl.rcParams["svg.hashsalt"] = "entrepot"
        rows = [row for row in ROWS if row.ratio][::-1]
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes = figure.subplots()
        for offset, contestant in ((-0.19, REGISTRY), (0.19, ENTREPOT)):
            places = [number + offset for number in range(len(rows))]
            values = [self._value(row, contestant) or 0.0 for row in rows]
            bars = axes.barh(places, values, 0.36, label=contestant, color=_COLOURS[contestant])
            axes.bar_label(bars, fmt="%.2f", padding=3)
        marks = [(number, row.bar) for number, row in enumerate(rows) if row.bar is not None]
        for number, bar in marks:
            label = "bar" if number == marks[0][0] else None
            axes.plot([bar] * 2, [number, number + 0.38], color="#c53030", label=label)
        axes.axvline(1.0, color="black", linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(rows)), [self._title(row) for row in rows])
        axes.set_xlabel("nginx = 1.0")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", frameon=False)
        figure.savefig(target, metadata={"Date": None})


def _size(size: int) -> str:
    for unit, count in (("GiB", size >> 30), ("MiB", size >> 20), ("KiB", size >> 10)):
        if count:
            return f"{count} {unit}"
    return f"{size} B"


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
