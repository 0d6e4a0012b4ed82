"""The triggers and pipelines in force: what the poller asks about a repository. Pure values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from watcher.core import trigger as triggers_module
from watcher.core.pipeline import Pipeline
from watcher.core.trigger import Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One config's triggers and pipelines, with the switches of `watcher enable` applied."""

    triggers: tuple[Trigger, ...] = ()
    pipelines: Mapping[str, Pipeline] = field(default_factory=dict)
    enabled: frozenset[str] = frozenset()

    @staticmethod
    def of(
        triggers: Iterable[Trigger], pipelines: Iterable[Pipeline], switches: Mapping[str, bool]
    ) -> Rules:
        """`switches` are the run-time switches, which outlive a restart and win over the config."""
        listed = tuple(triggers)
        return Rules(
            triggers=listed,
            pipelines={pipeline.name: pipeline for pipeline in pipelines},
            enabled=frozenset(t.name for t in listed if switches.get(t.name, t.enabled)),
        )

    def switched(self, switches: Mapping[str, bool]) -> Rules:
        """The same rules under these run-time switches; a trigger without one stays as it is."""
        names = (trigger.name for trigger in self.triggers)
        enabled = frozenset(n for n in names if switches.get(n, n in self.enabled))
        return self if enabled == self.enabled else replace(self, enabled=enabled)

    def applying_to(self, account: str, repository: str) -> tuple[Trigger, ...]:
        return tuple(t for t in self.triggers if triggers_module.applies(t, account, repository))
