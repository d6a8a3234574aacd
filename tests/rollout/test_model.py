"""Controllers, a store that fails now and then, people, restarts and two clocks, driven at random against the invariants."""

from __future__ import annotations

from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from progflags.errors import StoreError, TransitionRefused
from progflags.rollout import State
from progflags.store import MemoryStore
from progflags.testing import ManualClock
from support.sizes import size

from .conftest import FLAG, House, rollout_table
from .faults import Wrapped, violations

BAKES = {0: 30.0, 1: 30.0, 2: 30.0}
VERBS = ["start", "pause", "resume", "approve", "promote", "skip", "rollback", "abort", "retry"]
GATES = [{"metric": "error_rate", "max": 0.2, "policy": "no_alarm"}]
TABLE = rollout_table(
    stages=[{"percent": p, "bake": "30s", "min_samples": 20, "gates": GATES} for p in (1, 10, 50)],
    approval={"before": [50]},
    watch="60s",
    deadline="3m",
    cool_down="1m",
)


class Life(RuleBasedStateMachine):
    """Two processes over one store."""

    @initialize()
    def begin(self):
        self.clock = ManualClock(wall=1_800_000_000.0)
        self.store = MemoryStore(clock=self.clock)
        self.failing, self.times = [], {}
        self.folder = TemporaryDirectory()
        self.houses = [self.house(), self.house()]

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def house(self):
        return House(Wrapped(self.store, before=self.before, after=self.after), self.clock, {FLAG: TABLE}, keep=self.folder.name)

    def before(self, what):
        if self.failing and self.failing[0] == (what, "refused"):
            self.failing.pop(0)
            raise StoreError("refused")

    def after(self, what):
        if self.failing and self.failing[0] == (what, "lost"):
            self.failing.pop(0)
            raise StoreError("lost")

    @rule(who=st.integers(0, 1), bad=st.sampled_from([0.0, 0.0, 0.0, 0.4]), arms=st.sampled_from(["both", "both", "control"]))
    def traffic(self, who, bad, arms):
        self.houses[who].traffic(candidate=bad, arms=arms)

    @rule(who=st.integers(0, 1), by=st.sampled_from([1, 5, 5, 10, 200]))
    def look(self, who, by):
        """Time passes, traffic comes, somebody ticks."""
        self.clock.advance(by)
        self.houses[who].traffic()
        self.houses[1 - who].rollouts.publish()
        self.houses[who].rollouts.tick()

    @rule(by=st.sampled_from([-86_400.0, -30.0, 30.0, 86_400.0]))
    def step_the_wall_clock(self, by):
        self.clock.step_wall(by)

    @rule(who=st.integers(0, 1), verb=st.sampled_from(VERBS), force=st.booleans())
    def ask(self, who, verb, force):
        rollouts = self.houses[who].rollouts
        options = {"force": True} if force and verb in ("promote", "retry") else {}
        try:
            status = getattr(rollouts, verb)(FLAG, by="somebody", **options)
        except (TransitionRefused, StoreError):
            return
        if verb == "rollback":
            assert status.state in (State.ROLLED_BACK, State.ROLLING_BACK, State.DRAFT, State.ABORTED, State.SUPERSEDED)
            assert self.houses[who].exposed(people=50) == 0

    @rule(who=st.integers(0, 1))
    def blow_up(self, who):
        for _ in range(25):
            self.houses[who].recorder.record(FLAG, arm="candidate", seconds=0.1, error=True)

    @rule(
        what=st.sampled_from(["commit", "commit", "read", "collect", "publish"]),
        how=st.sampled_from(["refused", "lost"]),
        times=st.integers(1, 3),
    )
    def fail(self, what, how, times):
        self.failing = [(what, how)] * times

    @rule(who=st.integers(0, 1))
    def crash_and_restart(self, who):
        """What it had only in memory is gone; a rollback that it could not store is on disk."""
        self.failing = []
        wanted = self.houses[who].rollouts._parts.brake.intent(FLAG)
        kept = wanted is not None and wanted in self.houses[who].rollouts._parts.kept._there.values()
        self.houses[who] = self.house()
        document = self.store.read(f"rollout/{FLAG}")[1].get(f"rollout/{FLAG}")  # none: it was asked before any start
        if kept and (document is None or document.body["run"] == wanted.run):
            assert self.houses[who].exposed(people=50) == 0

    @invariant()
    def the_store_is_consistent(self):
        if hasattr(self, "store"):
            # The clock moves before anything is written, so whatever is new here was written now, by the clock that counts.
            for entry in self.store.history(f"rollout/{FLAG}", after=len(self.times)):
                self.times[entry.number] = self.clock.monotonic()
            assert violations(self.store, FLAG, bakes=BAKES, times=self.times) == []

    @invariant()
    def a_process_that_has_looked_serves_what_the_store_says(self):
        if not hasattr(self, "houses") or self.failing:
            return
        for house in self.houses:
            house.refresh()
            pinned = house.rollouts._parts.brake.intent(FLAG) is not None
            if house.client.live(FLAG).share in (None, 0) or pinned:
                assert house.exposed(people=30) == 0


Life.TestCase.settings = settings(
    max_examples=size(30, full=2000), stateful_step_count=size(40, full=50), deadline=None, suppress_health_check=list(HealthCheck)
)
test_a_life_at_random_keeps_every_invariant = pytest.mark.sized(Life.TestCase)
