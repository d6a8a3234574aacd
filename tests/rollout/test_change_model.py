"""Changes of definition against a model of a dozen lines: any order of verbs, files and looks, in two processes over one store."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

import progflags as pf
from progflags.errors import TransitionRefused
from progflags.flags import bucket
from progflags.store import MemoryStore
from progflags.testing import ManualClock

FLAG = "f"
PLAN = {"stages": [{"percent": 30, "bake": "1h"}, {"percent": 60, "bake": "1h"}], "watch": "0s", "cool_down": "1s", "brake": False}
#: What a file may say, and what it means to somebody with an odd or an even number.
DEFINITIONS: dict[str, dict[str, Any]] = {
    "odd": {"rules": [{"when": "odd", "serve": "on"}], "rollout": PLAN},
    "even": {"rules": [{"when": "not odd", "serve": "on"}], "rollout": PLAN},
    "all": {"rules": [{"serve": "on"}], "rollout": PLAN},
}
MEANS = {"odd": lambda odd: odd, "even": lambda odd: not odd, "all": lambda odd: True}
PEOPLE = [(f"u{n}", n % 2 == 1) for n in range(40)]

which, what = st.sampled_from([0, 1]), st.sampled_from(sorted(DEFINITIONS))
step = st.one_of(
    st.tuples(st.just("file"), which, what),
    st.tuples(st.just("change"), which, what),
    st.tuples(
        st.sampled_from(["start", "retry", "promote", "full", "rollback", "abort", "pause", "resume", "tick", "kill", "unkill"]), which
    ),
)


class Process:
    """One of the two: its file, its client, and the changes that its file has left behind."""

    def __init__(self, store: MemoryStore, clock: ManualClock) -> None:
        self.says = "odd"
        self.document = {"flags": {FLAG: DEFINITIONS["odd"]}}
        self.flags = pf.connect(self.document, store=store, clock=clock)
        self.left: set[str] = set()
        self.own = 0  # where the flag's own rollout stands, in ppm

    def take(self, verb: str, *more: str) -> None:
        rollouts = self.flags.rollouts
        if verb == "file":
            self.says = more[0]
            self.document["flags"] = {FLAG: DEFINITIONS[more[0]]}
        elif verb == "change":
            rollouts.change(FLAG, DEFINITIONS[more[0]], force=True)
        elif verb == "tick":
            rollouts.tick()
        elif verb == "full":
            rollouts.promote(FLAG, full=True)
        elif verb == "retry":
            rollouts.retry(FLAG, force=True)
        else:
            getattr(rollouts, verb)(FLAG)

    def must_be_as_modelled(self, named: dict[str, str]) -> None:
        """`named`: imprints → which definition that is."""
        self.flags.refresh()
        live = self.flags.live(FLAG)
        edit, share = live.edit, live.share or 0
        if edit is not None and named[edit.base] != self.says:
            self.left.add(edit.salt)
        self.own = share if edit is None else self.own  # no change moves it
        applies = edit is not None and named[edit.base] == self.says and edit.salt not in self.left
        for key, odd in PEOPLE:
            new = edit is not None and applies and bucket("d", edit.salt, key) < share
            means = MEANS[named[edit.new] if edit is not None and new else self.says]
            wanted = means(odd) or bucket("r", FLAG, key) < self.own  # the flag's own rollout is of `on`, in both
            answer = self.flags.evaluate(FLAG, None, pf.Context(key, {"odd": odd}))
            assert answer.value is (wanted and live.killed is None), (key, self.says, live)


@given(st.lists(step, min_size=3, max_size=14))
@example([("start", 0), ("full", 0), ("change", 0, "even"), ("kill", 1), ("unkill", 1), ("rollback", 0), ("rollback", 1), ("start", 1)])
@example(
    [("start", 0), ("full", 0), ("change", 1, "even"), ("full", 1), ("file", 0, "even"), ("file", 1, "even"), ("tick", 0), ("start", 0)]
)
@example([("start", 0), ("full", 0), ("change", 1, "even"), ("abort", 1), ("change", 1, "all"), ("rollback", 1)])
@example([("change", 0, "all"), ("full", 0), ("file", 1, "all"), ("tick", 1), ("file", 1, "odd"), ("tick", 0)])
@example([("change", 0, "even"), ("file", 1, "all"), ("tick", 1), ("file", 1, "odd"), ("retry", 0), ("promote", 1)])
@settings(max_examples=120, deadline=None)
def test_each_process_serves_by_its_file_and_the_change_that_was_made_of_it(steps: list[tuple[Any, ...]]) -> None:
    """Whatever happens in whichever order, each answer is the one that a dozen lines foretell."""
    clock = ManualClock(wall=1_800_000_000.0)
    store = MemoryStore(clock=clock)
    processes = [Process(store, clock), Process(store, clock)]
    named = {}
    for name, table in DEFINITIONS.items():
        with pf.connect({"flags": {FLAG: table}}, poll=None) as other:
            assert other.definitions is not None
            named[other.edits.imprint(other.definitions.flags[FLAG])] = name
    for verb, who, *more in steps:
        with suppress(TransitionRefused):
            processes[who].take(verb, *more)
        clock.advance(2)
        for process in processes:
            process.must_be_as_modelled(named)
    for process in processes:
        assert process.flags.rollouts.verify(FLAG) == ()
        process.flags.close()
