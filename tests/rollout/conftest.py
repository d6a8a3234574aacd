"""A small house for one rollout: real flags, a real store, a real recorder, a clock that moves when told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from progflags.canary import Recorder
from progflags.context import Context
from progflags.events import Bus
from progflags.flags import Client, parse
from progflags.rollout import Rollouts, RolloutStatus, Transition
from progflags.store import MemoryStore, Store
from progflags.testing import ManualClock

FLAG = "new-checkout"


def rollout_table(**changes: Any) -> dict[str, Any]:
    """Two stages, ten seconds each, one gate that a hundred good calls satisfy."""
    gate = {"metric": "error_rate", "max": 0.2, "policy": "no_alarm"}
    table: dict[str, Any] = {
        "stages": [
            {"percent": 10, "bake": "60s", "min_samples": 20, "gates": [gate]},
            {"percent": 50, "bake": "60s", "min_samples": 20, "gates": [gate]},
        ],
        "watch": "120s",
        "deadline": "1h",
        "batch": "5s",
    }
    return {key: value for key, value in {**table, **changes}.items() if value is not None}


class House:
    """One process: its client, recorder and controller over a store it may share with other houses."""

    def __init__(
        self,
        store: Store | None = None,
        clock: ManualClock | None = None,
        tables: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> None:
        self.clock = clock or ManualClock(wall=1_800_000_000.0)
        self.store = store or MemoryStore(clock=self.clock)
        self.bus = Bus()
        self.client = Client(bus=self.bus, clock=self.clock)
        self.recorder = Recorder(self.bus, self.clock)
        self.rollouts = Rollouts(self.client, self.store, self.recorder, self.clock, refresh=self.refresh, actor="tester", **options)
        self.define(tables or {FLAG: rollout_table()})
        self.refresh()

    def define(self, tables: Mapping[str, Mapping[str, Any] | None]) -> None:
        flags = {key: {"rollout": dict(table)} if table is not None else {} for key, table in tables.items()}
        snapshot = parse({"flags": flags}, file="flags.toml", lines=lambda path: None)
        assert not snapshot.rejected, snapshot.rejected
        self.client.install(snapshot)

    def refresh(self) -> None:
        self.client.install(live=self.rollouts.live())

    def traffic(self, n: int = 50, *, control: float = 0.0, candidate: float = 0.0, flag: str = FLAG, arms: str = "both") -> None:
        """`n` calls on each arm, of which a share fails."""
        for arm, failing in (("control", control), ("candidate", candidate)):
            if arms not in ("both", arm):
                continue
            bad = round(n * failing)
            if n - bad:
                self.recorder.record(flag, arm=arm, seconds=0.1, error=False, n=n - bad)
            if bad:
                self.recorder.record(flag, arm=arm, seconds=0.1, error=True, n=bad)

    def run(self, seconds: float, *, step: float = 5.0, **traffic: Any) -> tuple[Transition, ...]:
        """Let time pass in steps, with traffic and a tick in each."""
        steps: list[Transition] = []
        for _ in range(round(seconds / step)):
            self.traffic(**traffic)
            self.clock.advance(step)
            steps += self.rollouts.tick()
        return tuple(steps)

    def status(self, flag: str = FLAG) -> RolloutStatus:
        return self.rollouts.status(flag)

    def exposed(self, flag: str = FLAG, people: int = 1000) -> float:
        """The share of people who are served the candidate here and now, in percent."""
        return 100 * sum(bool(self.client.is_enabled(flag, Context(f"user-{n}"))) for n in range(people)) / people


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def houses() -> Callable[..., list[House]]:
    """Several processes over one store and one clock."""

    def build(count: int, **options: Any) -> list[House]:
        clock = ManualClock(wall=1_800_000_000.0)
        store = MemoryStore(clock=clock)
        return [House(store, clock, **options) for _ in range(count)]

    return build
