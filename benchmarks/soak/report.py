"""What a soak leaves: promises and figures on the screen, as Markdown and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.promises import Promise, as_table, broken
from benchmarks.soak.run import MIB, Findings, Plan

__all__ = ["Report"]

_SLACK = 1.05
_MEMORY_SLACK = 1.15


class Report:
    def __init__(self, plan: Plan, seed: int, findings: Findings) -> None:
        self._plan = plan
        self._seed = seed
        self._findings = findings
        self._promises = list(self._judged())

    @property
    def broken_promises(self) -> list[str]:
        return broken(self._promises)

    def lines(self) -> list[str]:
        """Return it as Markdown."""
        found, plan = self._findings, self._plan
        answers = ", ".join(f"{count:,} {name}" for name, count in found.answers.items())
        return [
            "# Soak",
            "",
            (
                f"A budget of {plan.budget // MIB} MiB, {os.cpu_count()} cores, {found.seconds:.0f} seconds,"
                f" {plan.readers} readers, seed {self._seed}."
            ),
            (
                f"Fetched {found.fetched / plan.budget:.1f} times the budget,"
                f" served {found.served / plan.budget:.1f} times the budget;"
                f" killed {found.kills} times, stopped {found.stops} times."
            ),
            "",
            *as_table(self._promises),
            "",
            f"Answers: {answers}. Bytes served without being fetched: {found.hit_ratio:.0%}.",
        ]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "soak.md").write_text("\n".join([*self.lines(), ""]))
        (folder / "soak.json").write_text(json.dumps(self._document(), indent=1) + "\n")

    def _judged(self) -> Iterator[Promise]:
        found, budget, churn = self._findings, self._plan.budget, self._plan.churn
        if self._plan.promises_churn:
            turns = found.fetched / budget
            yield Promise(f"The budget is fetched {churn:.0f} times over", f"{turns:.1f} x", turns >= churn)
        yield Promise(
            "Every answer is whole and right, or visibly broken",
            f"{len(found.wrong)} wrong of {sum(found.answers.values()):,}",
            not found.wrong,
        )
        yield Promise(
            "At most 1.05 x the budget is held, beside what is being filled",
            f"{found.most_beside_fills / budget:.3f} x; with it {found.most.total / budget:.3f} x",
            found.most_beside_fills <= _SLACK * budget
            and found.most.total <= _SLACK * budget + found.most.spool,
        )
        yield Promise(
            "No orphan is left after one background pass",
            f"{len(found.orphans)} left",
            not found.orphans,
        )
        yield Promise(
            "Memory stays flat",
            f"{found.memory_growth:.2f} x, at most {max(found.memory, default=0) / MIB:.0f} MiB",
            found.memory_growth <= _MEMORY_SLACK,
        )

    def _document(self) -> dict[str, object]:
        found, plan = self._findings, self._plan
        return {
            "seed": self._seed,
            "cores": os.cpu_count(),
            "budget_bytes": plan.budget,
            "times_fetched": round(found.fetched / plan.budget, 2),
            "readers": plan.readers,
            "seconds": round(found.seconds, 1),
            "kills": found.kills,
            "stops": found.stops,
            "fetched_bytes": found.fetched,
            "served_bytes": found.served,
            "byte_hit_ratio": round(found.hit_ratio, 4),
            "answers": found.answers,
            "wrong": found.wrong[:20],
            "orphans": found.orphans[:20],
            "most_bytes": found.most.total,
            "most_bytes_beside_fills": found.most_beside_fills,
            "memory_growth": round(found.memory_growth, 3),
            "most_memory_bytes": max(found.memory, default=0),
            "broken_promises": self.broken_promises,
        }
