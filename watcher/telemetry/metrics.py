"""The Meter of `/metrics`, on prometheus_client with a registry of its own, and what it exposes.

Imported where the config has `http` alone: `--once` does not pay for the library. Exposition
formats: https://prometheus.io/docs/instrumenting/exposition_formats/ and OpenMetrics 1.0.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_text
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from watcher.telemetry.families import Count, Family, Reading, Timing
from watcher.telemetry.meter import Meter

COUNTERS = frozenset({Reading.TRANSACTIONS, Reading.LOG_LINES_LOST})


class Sample(NamedTuple):
    """The value of a Reading now; labels in the order of its family."""

    what: Reading
    value: float
    labels: tuple[str, ...] = ()


class PrometheusMeter(Meter):
    """Counts for Prometheus, and shows what it counted beside what was read."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each, which nobody asks for
        self._registry = CollectorRegistry()
        _OfTheProcess(registry=self._registry)
        self._counters = {what: _counter(what.value, self._registry) for what in Count}
        self._histograms = {what: _histogram(what.value, self._registry) for what in Timing}
        self._counts: dict[tuple[Count, tuple[str, ...]], Counter] = {}
        self._timings: dict[tuple[Timing, tuple[str, ...]], Histogram] = {}

    def count(self, what: Count, *labels: str, by: float = 1.0) -> None:
        series = self._counts.get((what, labels))
        if series is None:
            family = self._counters[what]
            series = self._counts[what, labels] = family.labels(*labels) if labels else family
        series.inc(by)

    def time(self, what: Timing, seconds: float, *labels: str) -> None:
        series = self._timings.get((what, labels))
        if series is None:
            family = self._histograms[what]
            series = self._timings[what, labels] = family.labels(*labels) if labels else family
        series.observe(seconds)

    def exposition(
        self, samples: Sequence[Sample], *, openmetrics: bool = False
    ) -> tuple[bytes, str]:
        """All metrics and their content type, in OpenMetrics or in Prometheus' text format. May
        be called in another thread."""
        scrape = _Scrape(self._registry, samples)
        if openmetrics:
            return openmetrics_text.generate_latest(scrape), openmetrics_text.CONTENT_TYPE_LATEST
        return generate_latest(scrape), CONTENT_TYPE_PLAIN_0_0_4


class _OfTheProcess(ProcessCollector):
    """CPU, memory, open files and start of the process, also where nothing else is to be seen below
    /proc, as the systemd units have it (ProcSubset=pid): there the library would show none."""

    def _boot_time(self) -> float:
        """When the machine started: what the kernel's time of a process is counted from."""
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class _Scrape(Collector):
    """What one request for the metrics is answered with."""

    def __init__(self, counted: Collector, samples: Sequence[Sample]) -> None:
        self._counted = counted
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        yield from self._counted.collect()
        yield from _families(self._samples)


def _families(samples: Iterable[Sample]) -> Iterator[Metric]:
    made: dict[Reading, CounterMetricFamily | GaugeMetricFamily] = {}
    for what, value, labels in samples:
        family = made.get(what)
        if family is None:
            kind = CounterMetricFamily if what in COUNTERS else GaugeMetricFamily
            family = made[what] = kind(
                what.value.name, what.value.meaning, labels=what.value.labels
            )
        family.add_metric(labels, value)
    yield from made.values()


def _counter(family: Family, registry: CollectorRegistry) -> Counter:
    return Counter(family.name, family.meaning, family.labels, registry=registry)


def _histogram(family: Family, registry: CollectorRegistry) -> Histogram:
    return Histogram(
        family.name, family.meaning, family.labels, registry=registry, buckets=family.buckets
    )
