"""What a comparison leaves: tables on the screen and as Markdown, every figure as JSON, means as a plot."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import matplotlib as mpl
from benchmarks.eviction.contest import CHOSEN, OFFLINE, Outcome
from benchmarks.eviction.trace import Trace, Workload
from matplotlib.figure import Figure

__all__ = ["Report"]

_DRAWN = {"LRU": "#b8b8b8", "LFU-DA": "#dd9a3c", "S3-FIFO": "#4f9d69", CHOSEN: "#2b6cb0", OFFLINE: "#1a202c"}

_LEGEND = """\
Byte hit ratio by the size of the cache, in shares of all that is ever asked for: means over the
workloads. Then means over all: of it, of the blob hit ratio, and of the byte hit ratio of what was hot
before a sweep on the day after it. *Favourite*: how often one-off blobs replace the cache until a blob
of a million uses, used no more, has left it. *offline* knows the future. The second table is the byte
hit ratio by workload.
""".splitlines()


class Report:
    """``shares``: the sizes of the cache; ``add`` takes a policy's outcomes in their order."""

    def __init__(self, shares: Sequence[float], most_turnovers: int) -> None:
        self.shares = shares
        self.turnovers: dict[str, int] = {}
        self._most_turnovers = most_turnovers
        self._traces: dict[str, dict[str, float]] = {}
        self._outcomes: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))

    def add_trace(self, workload: Workload, trace: Trace) -> None:
        asked = sum(trace.sizes[use.blob] for use in trace.uses)
        self._traces[workload.name] = {
            "days": workload.days,
            "uses": len(trace.uses),
            "blobs": len({use.blob for use in trace.uses}),
            "sweeps": len(trace.sweeps),
            "footprint_gib": round(trace.footprint / (1 << 30), 1),
            "asked_gib": round(asked / (1 << 30), 1),
            "bytes_hit_without_eviction": round(1 - trace.footprint / asked, 4),
        }

    def add(self, workload: Workload, policy: str, outcome: Outcome) -> None:
        self._outcomes[policy][workload.name].append(outcome)

    def lines(self) -> list[str]:
        """Return the tables as Markdown: by size of the cache, and by workload."""
        sizes = [f"{share:.0%}" for share in self.shares]
        by_size = ("", *sizes, "mean", "blobs", "hot", "favourite")
        by_workload = ("", *self._traces)
        return [
            *_table(by_size, (self._row_by_size(policy) for policy in self._ranking)),
            "",
            *_table(by_workload, (self._row_by_workload(policy) for policy in self._ranking)),
        ]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "eviction.json").write_text(json.dumps(self._document(), indent=1) + "\n")
        (folder / "eviction.md").write_text("\n".join([*self._introduction(), *self.lines(), ""]))
        self._draw(folder / "eviction.svg")

    @property
    def _ranking(self) -> list[str]:
        return sorted(self._outcomes, key=lambda policy: -fmean(self._means_by_size(policy)))

    def _means_by_size(self, policy: str) -> list[float]:
        rows = self._outcomes[policy].values()
        return [fmean(outcome.bytes_hit for outcome in column) for column in zip(*rows, strict=True)]

    def _row_by_size(self, policy: str) -> tuple[str, ...]:
        means = self._means_by_size(policy)
        outcomes = [outcome for row in self._outcomes[policy].values() for outcome in row]
        hot = [outcome.hot_bytes_hit for outcome in outcomes if outcome.hot_bytes_hit is not None]
        figures = (*means, fmean(means), fmean(outcome.blobs_hit for outcome in outcomes), fmean(hot))
        return (_shown(policy), *(f"{figure:.3f}" for figure in figures), self._survival(policy))

    def _row_by_workload(self, policy: str) -> tuple[str, ...]:
        rows = self._outcomes[policy].values()
        return (_shown(policy), *(f"{fmean(outcome.bytes_hit for outcome in row):.3f}" for row in rows))

    def _survival(self, policy: str) -> str:
        turnovers = self.turnovers.get(policy)
        if turnovers is None:
            return ""
        return f"{turnovers}" if turnovers < self._most_turnovers else f"over {self._most_turnovers}"

    def _introduction(self) -> list[str]:
        traces = [
            f"- **{name}**: {figures['uses']:,} uses of {figures['blobs']:,} blobs in {figures['days']} days,"
            f" {figures['sweeps']} sweeps; {figures['asked_gib']:,.0f} GiB asked for,"
            f" {figures['footprint_gib']:,.0f} GiB of them different."
            for name, figures in self._traces.items()
        ]
        return [
            "# Eviction policies compared",
            "",
            "Written by `scripts/bench eviction`, the same in every run.",
            "",
            "![Share of bytes that were in the cache](eviction.svg)",
            "",
            *_LEGEND,
            "",
            *traces,
            "",
        ]

    def _document(self) -> dict[str, object]:
        return {
            "shares": list(self.shares),
            "traces": self._traces,
            "outcomes": {
                policy: {name: [_rounded(outcome) for outcome in row] for name, row in rows.items()}
                for policy, rows in self._outcomes.items()
            },
            "favourite_turnovers": self.turnovers,
        }

    def _draw(self, target: Path) -> None:
        mpl.rcParams["svg.hashsalt"] = "entrepot"
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes = figure.subplots()
        for policy, colour in _DRAWN.items():
            axes.plot(self.shares, self._means_by_size(policy), label=policy, color=colour, marker="o")
        axes.set_xscale("log")
        axes.set_xticks(self.shares, [f"{share:.0%}" for share in self.shares])
        axes.minorticks_off()
        axes.set_xlabel("size of the cache, of all that is ever asked for")
        axes.set_ylabel("byte hit ratio")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", frameon=False)
        figure.savefig(target, metadata={"Date": None})


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (head, ("---",) * len(head), *rows)]


def _shown(policy: str) -> str:
    return f"**{policy}**" if policy == CHOSEN else policy


def _rounded(outcome: Outcome) -> dict[str, float | None]:
    return {name: value and round(value, 4) for name, value in asdict(outcome).items()}
