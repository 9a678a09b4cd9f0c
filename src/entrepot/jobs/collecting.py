"""Makes what is due to go, go now: what has expired, what is nobody's, and what there is no room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from entrepot.jobs.job import Job
from entrepot.ports.jobs import Report
from entrepot.telemetry.metrics import Metrics

__all__ = ["Collecting"]

_KINDS = ("blob", "manifest", "spool")


class Collecting:
    """Runs jobs, one after the other; a run that is under way counts as the one."""

    def __init__(self, jobs: Sequence[Job], metrics: Metrics) -> None:
        self._jobs = jobs
        self._metrics = metrics

    async def run(self) -> Report:
        """Tell what they counted, and what has gone from the cache meanwhile, for whatever reason."""
        before, counts = self._gone(), Counter[str]()
        failures = []
        for job in self._jobs:
            report = await job.run()
            counts.update(report.counts)
            if report.failure is not None:
                failures.append(f"{job.name}: {report.failure}")
        counts.update({name: total - before[name] for name, total in self._gone().items()})
        return Report(dict(counts), "; ".join(failures) or None)

    def _gone(self) -> dict[str, int]:
        count = self._metrics.totals("evictions_total", "kind")
        size = self._metrics.totals("evicted_bytes_total", "kind")
        return {"bytes": sum(size.values()), **{f"{kind}s": count.get(kind, 0) for kind in _KINDS}}
