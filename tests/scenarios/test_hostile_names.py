"""Whatever somebody calls an event, an arm, a flag or a reason: the judge goes on, and a bad candidate is rolled back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import pytest
from tests.support.sizes import size

import progflags as pf
from progflags import _trouble
from progflags.errors import ProgflagsError
from progflags.events import Compared, Exposure, Served, Tracked
from progflags.rollout import Hook
from progflags.testing import ManualClock

GATE = {"metric": "error_rate", "max_increase": 0.5}
PLAN = {"stages": [{"percent": 50, "bake": "15m", "gates": [GATE]}]}
FLAGS = {"checkout": {"rollout": PLAN}, "search": {"rollout": PLAN}, "plain": {}}


class Loud(str):
    """A text whose every own method fails."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        raise RuntimeError("encode")

    def __str__(self) -> str:
        raise RuntimeError("str")

    def __repr__(self) -> str:
        raise RuntimeError("repr")


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("repr")

    __str__ = __repr__
    __hash__ = None  # type: ignore[assignment]


class Word(StrEnum):
    PAID = "paid"


HALF = "paid\ud83d"
PARTS = [
    "\ud83d",
    "\udc80",
    "\udfff",
    "\0",
    "\n",
    "\x1b[2J",
    "\x7f",
    "\u202e",
    "é",
    "e\u0301",
    "👩\u200d💻",
    "/",
    "..",
    "@",
    "#",
    " ",
    "checkout",
    "control",
    "a",
    "%s",
    "{x}",
    "'",
    '"',
    "\\",
    "\x1f",
]
ODD: list[Any] = ["", HALF, "x" * 257, "x" * 100_000, b"paid", 5, 0.5, float("nan"), True, None, (), [], {}, object, Loud("paid"), Unspeakable(), Word.PAID, "candidat", "Candidate", "controI"]  # fmt: skip


def names(n: int, seed: int = 7) -> Iterator[Any]:
    rng = random.Random(seed)
    yield from ODD[:n]
    for _ in range(n - len(ODD)):
        text = "".join(rng.choice(PARTS) if rng.random() < 0.7 else chr(rng.randrange(0x110000)) for _ in range(rng.randint(1, 6)))
        yield text * rng.choice([1, 1, 1, 1, 100])


def on_the_request_path(flags: pf.Flags, name: Any) -> None:
    """What must never raise."""
    flags.track(name, "u1")
    flags.track(name, name, name)
    flags.is_enabled(name, "u1", False)
    flags.evaluate(name, None, "u1")
    flags.evaluate("plain", True, {"targeting_key": name, "x": name})
    flags.metrics.record(name, arm="candidate", error=True)
    flags.metrics.record("checkout", arm=name, error=False, n=1_000)
    flags.metrics.record("checkout", arm="control", unit=name, events=[name])
    flags.metrics.record("checkout", arm="control", events={"paid": name})
    flags.metrics.record("checkout", arm="control", n=name, seconds=name, error=name)
    flags.metrics.observe(name, "size", 1.0, arm="control")
    flags.metrics.observe("checkout", name, 1.0, arm="control")
    flags.metrics.observe("checkout", "size", 1.0, arm=name)
    flags.bus.tell(Tracked(name, b"u1", 1.0))
    flags.bus.tell(Served((Exposure("checkout", flags.live("checkout").revision, "on", name),), 0.1, False))
    flags.bus.tell(Compared(name, "MATCH"))


def verbs(flags: pf.Flags, name: Any) -> list[Any]:
    """What may refuse a name, in words of ours."""
    rollouts = flags.rollouts
    by_flag = [rollouts.start, rollouts.pause, rollouts.resume, rollouts.approve, rollouts.promote, rollouts.skip, rollouts.rollback]
    by_flag += [rollouts.abort, rollouts.retry, flags.kill, flags.unkill, rollouts.kill, rollouts.status, rollouts.history, rollouts.report]
    by_flag += [rollouts.plan, rollouts.verify, flags.metrics.read]
    return [
        *(lambda verb=verb: verb(name) for verb in by_flag),
        lambda: flags.metrics.source(name, lambda: 1.0),
        lambda: rollouts.shadow(name, lambda: "SAFE"),
        lambda: rollouts.shadow("checkout", of=name),
        lambda: rollouts.notify(Hook(name, lambda line: None)),
        lambda: flags.kill("plain", reason=name, by=name),
        lambda: flags.unkill("plain", reason=name, by=name),
        lambda: (flags.panic(reason=name, by=name), flags.unpanic(reason=name, by=name)),
        lambda: rollouts.pause("search", reason=name, by=name),
        lambda: rollouts.resume("search", reason=name, by=name),
        lambda: pf.dark_launch(name, candidate=print, flags=flags),
        lambda: pf.progressive(name, candidate=print, flags=flags),
        lambda: flags.override({name: "on"}).__enter__(),
    ]


@pytest.mark.sized
@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_no_name_stops_the_judge(store: str, tmp_path: Any) -> None:
    """Ten thousand names over every verb that takes one; then a candidate that always fails is rolled back all the same."""
    clock, count = ManualClock(), size(120, full=10_000)
    url = None if store == "memory" else f"sqlite:///{tmp_path}/store.db"
    with pf.connect({"flags": FLAGS}, store=url, clock=clock) as flags:
        for flag in ("checkout", "search"):
            flags.rollouts.start(flag, by="tester")
        before = _trouble.counts()
        with pf.bind("u1"):
            for number, name in enumerate(names(count)):
                on_the_request_path(flags, name)
                if isinstance(name, Unspeakable | Loud) or number % size(1, full=20) == 0:
                    refuse(flags, name)
                if number % 20 == 0:
                    clock.advance(0.5)
                    flags.rollouts.tick()
                    flags.rollouts.deliver()
        for _ in range(60):
            for arm in ("control", "candidate"):
                flags.metrics.record("checkout", arm=arm, seconds=0.1, error=arm == "candidate", n=100)
            clock.advance(30)
            flags.rollouts.tick()

        assert flags.rollouts.status("checkout").state == "rolled_back"
        assert flags.rollouts.verify("checkout") == flags.rollouts.verify("search") == ()
        stopped = {where for where, n in _trouble.counts().items() if n > before.get(where, 0)}
        assert not {where for where in stopped if where.startswith(("rollout of", "counts of", "rollouts:", "dark launch of", "notifying"))}
        assert any("half of a character" in warning.message for warning in flags.status().warnings)
        assert sum(n for _, _, n in flags.refusals.read()) > count  # none is lost, however many causes there were


def refuse(flags: pf.Flags, name: Any) -> None:
    for verb in verbs(flags, name):
        try:
            verb()
        except (ProgflagsError, ValueError, TypeError, KeyError):
            continue
        except RuntimeError as error:  # the name's own
            assert isinstance(name, Loud | Unspeakable), error


def test_half_of_an_emoji_in_an_event_is_refused_and_counted() -> None:
    """An event cut inside an emoji made every later tick raise: a candidate failing all calls stayed, in every rollout."""
    with pf.connect({"flags": FLAGS}, clock=ManualClock()) as flags:
        for _ in range(3):
            flags.track(HALF, "u1")
        (warning,) = flags.status().warnings
        assert warning.file == "<track>"
        assert "half of a character" in warning.message
        assert warning.hint == "3 times so far"


def test_a_source_is_named_when_it_is_handed_over() -> None:
    with pf.connect({"flags": FLAGS}, clock=ManualClock()) as flags:
        for name in (5, "", HALF, "a\nb"):
            with pytest.raises(ValueError, match="can't be the name of a source"):
                flags.metrics.source(name, lambda: 1.0)  # type: ignore[arg-type]


def test_a_typo_in_an_arm_opens_none() -> None:
    """`arm="candidat"` was an arm of its own, whose failures nobody judged."""
    with pf.connect({"flags": FLAGS}, clock=ManualClock()) as flags:
        flags.rollouts.start("checkout", by="tester")
        flags.metrics.record("checkout", arm="candidat", error=True, n=50)
        flags.metrics.record("chekout", arm="candidate", error=True, n=50)
        assert set(flags.metrics.read("checkout")) == {"control", "candidate"}
        assert [warning.message for warning in flags.status().warnings] == [
            "an observation of checkout was not counted: it has no arm 'candidat'",
            "an observation was not counted: there is no flag 'chekout'",
        ]


def test_made_up_names_leave_room_for_what_a_gate_asks_for() -> None:
    """Three hundred events nobody asks for, and then the one that a gate looks at."""
    clock = ManualClock()
    gates = [GATE, {"metric": "paid", "max_decrease": 0.5}]
    plan = {"stages": [{"percent": 50, "bake": "15m", "gates": gates}]}
    with pf.connect({"flags": {"checkout": {"rollout": plan}}}, clock=clock) as flags:
        flags.rollouts.start("checkout", by="tester")
        flags.rollouts.tick()
        flags.metrics.record("checkout", arm="control", unit="u", events=[f"event-{n}" for n in range(300)])
        flags.metrics.record("checkout", arm="control", unit="u", events=["paid"])
        assert flags.metrics.read("checkout")["control"]["paid"] == 1


def test_a_rollback_says_why_in_whatever_words() -> None:
    """A reason with half a character made the commit fail for ever, and the candidate came back with the next process."""
    with pf.connect({"flags": FLAGS}, clock=ManualClock()) as flags:
        flags.rollouts.start("checkout", by="tester")
        flags.rollouts.tick()
        done = flags.rollouts.rollback("checkout", reason=HALF, by="ops\0")
        assert (done.state, done.reason, done.actor) == ("rolled_back", r"paid\ud83d", r"ops\x00")


def test_a_kill_of_nothing_is_no_panic() -> None:
    """The name of no flag at all is refused, wherever it comes from."""
    with pf.connect({"flags": FLAGS}, clock=ManualClock()) as flags:
        for verb in (flags.kill, flags.unkill, flags.rollouts.kill, flags.rollouts.rollback):
            with pytest.raises(ProgflagsError, match="no flag ''"):
                verb("")
        assert not flags.panicking
