"""A fleet whose server comes back: everybody is supplied again within seconds, and nobody at once with everybody else."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from uuid import uuid4

import pytest

import progflags as pf
from progflags._chance import chance
from progflags._connect import _glance, _reach
from progflags.errors import StoreError
from progflags.store import MemoryStore
from progflags.testing import ManualClock

FLAGS = {"flags": {"plain": {"percent": 100}, "climbs": {"rollout": {"stages": [{"percent": 50, "bake": "1h"}]}}}}
STEP = 0.2


class Server(MemoryStore):
    """One that says when it moves, can be down, and counts by the second what it is asked."""

    deaf, down = "", False

    def __init__(self, name: str, now: list[float]) -> None:
        super().__init__(name)
        self.asked: Counter[int] = Counter()
        self.clock = now

    def _open(self):
        self.asked[int(self.clock[0])] += 1
        if self.down:
            raise StoreError("connection refused")
        return super()._open()

    def hint(self, timeout: float) -> bool:
        return False


@pytest.fixture
def fleet(monkeypatch):
    """Clients whose looks and steps come by a clock that the test moves."""
    now, clock = [1_000.0], ManualClock()
    chance.seed(17)
    for module in (_glance, _reach):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    server = Server(uuid4().hex, now)
    made = [pf.connect(FLAGS, store=server, clock=clock) for _ in range(64)]
    for number, flags in enumerate(made):
        flags._store.glance.interval = lambda: 5.0
        flags._store.glance.saw(0, flags._store.glance.ticket)
        flags._store.glance._seen = (0, now[0] + 5.0 * number / len(made))

    def go_on(seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            now[0] += STEP
            clock.advance(STEP)
            for flags in made:
                flags._look_when_due()
                flags._step()

    yield made, server, go_on
    server.down = False
    for flags in made:
        flags.close()


def test_the_return_of_a_server_is_no_storm(fleet):
    """It is asked three times as much as before at the most, in any two seconds; and within six everybody serves what it has."""
    made, server, go_on = fleet
    go_on(90)
    normal = sum(server.asked[second] for second in range(int(server.clock[0]) - 30, int(server.clock[0]))) / 30
    server.down = True
    go_on(60)
    assert all(flags.status().store_problem for flags in made)
    server.down = False
    MemoryStore._open(server)
    back = int(server.clock[0])
    go_on(6)
    assert not any(flags._supply.away for flags in made)
    go_on(20)
    pairs = [(server.asked[second] + server.asked[second + 1]) / 2 for second in range(back, back + 25)]
    assert max(pairs) <= 3 * normal, pairs


def test_after_a_moment_away_it_is_seen_again_at_once(fleet):
    made, server, go_on = fleet
    server.down = True
    go_on(7)
    server.down = False
    go_on(1)
    assert not any(flags._supply.away for flags in made)


def test_what_was_decided_while_it_was_away_is_stored_before_anything_else(fleet):
    """A kill waits for no turn."""
    made, server, go_on = fleet
    server.down = True
    go_on(60)
    made[3].kill("plain")
    server.down = False
    go_on(6)
    assert not made[3].status().pending
    go_on(6)
    assert not any(flags.is_enabled("plain", "u") for flags in made)
