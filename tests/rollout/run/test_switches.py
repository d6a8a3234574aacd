"""Kill and panic act here at once, are kept until the store has them, and reach everybody who shares it."""

from __future__ import annotations

import json

import pytest

import progflags as pf
from progflags.errors import StoreError
from progflags.flags import EVERYTHING
from progflags.rollout import State
from progflags.rollout.run._intent import Intent
from progflags.rollout.run._kept import Kept
from progflags.store import MemoryStore
from progflags.testing import ManualClock
from rollout.conftest import FLAG, House, rollout_table
from rollout.faults import Wrapped

PLAIN = "plain"
TABLES = {FLAG: {"stages": [{"percent": 50, "bake": "1h"}]}, PLAIN: None}


class Fleet:
    """Houses over one store; each may be cut off from it."""

    def __init__(self, folder):
        self.clock = ManualClock(wall=1_800_000_000.0)
        self.store = MemoryStore(clock=self.clock)
        self.folder = folder
        self.cut = set()

    def house(self, name="one", kind=House):
        def before(_):
            if name in self.cut:
                raise StoreError("gone")

        return kind(Wrapped(self.store, before=before), self.clock, TABLES, keep=self.folder / name)

    def acts(self, subject):
        return [(entry.body["act"], entry.body["actor"], entry.body["reason"]) for entry in self.store.history(subject)]

    def files(self, name="one"):
        return sorted((self.folder / name).glob("switch-*.json"))


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path)


def killed(house, flag=FLAG):
    return house.client.evaluate(flag, False, "u").reason == "DISABLED"


def act(house, verb, flag, **options):
    return getattr(house.rollouts, verb)(*([] if flag == EVERYTHING else [flag]), **options)


SWITCHES = pytest.mark.parametrize(
    ("on", "off", "flag", "subject"), [("kill", "unkill", FLAG, f"flag/{FLAG}"), ("panic", "unpanic", "", "panic")]
)


@SWITCHES
def test_out_of_reach_it_acts_here_is_said_and_kept_and_is_carried(fleet, on, off, flag, subject):
    house, other = fleet.house(), fleet.house("two")
    fleet.cut = {"one"}
    act(house, on, flag, reason="it burns", by="ann")

    assert killed(house)
    assert house.rollouts.pending == (f"{flag or 'all flags'}: {on} by ann (it burns)",)
    assert [file.stat().st_mode & 0o777 for file in fleet.files()] == [0o600]
    assert not killed(other)
    house.clock.advance(60)
    house.rollouts.tick()
    assert killed(house)

    fleet.cut = set()
    house.rollouts.publish()  # a process without the controller carries it too
    other.refresh()
    assert killed(other)
    assert house.rollouts.pending == ()
    assert fleet.files() == []
    assert fleet.acts(subject) == [(on, "ann", "it burns")]
    act(other, off, flag)
    house.refresh()
    assert not killed(house)


@SWITCHES
def test_the_next_process_begins_with_it_and_carries_it(fleet, on, off, flag, subject):
    first = fleet.house()
    fleet.cut = {"one"}
    act(first, on, flag, reason="it burns", by="ann")
    fleet.cut = set()
    again = fleet.house()  # what it reads says nothing of it

    assert killed(again)
    again.rollouts.tick()
    assert killed(again)
    assert fleet.acts(subject) == [(on, "ann", "it burns")]
    assert fleet.files() == []


@SWITCHES
def test_taken_back_before_it_was_stored_nothing_is_left_of_it(fleet, on, off, flag, subject):
    house = fleet.house()
    fleet.cut = {"one"}
    act(house, on, flag)
    act(house, off, flag)
    assert not killed(house)
    fleet.cut = set()
    house.rollouts.tick()

    assert not killed(house)
    assert fleet.acts(subject) == []
    assert fleet.files() == []


@SWITCHES
def test_the_latest_word_wins_over_what_others_did_meanwhile(fleet, on, off, flag, subject, caplog):
    """Cut off, one kills; another kills and, later, takes it back: that was the last word, and whoever was overtaken is told."""
    house, other = fleet.house(), fleet.house("two")
    fleet.cut = {"one"}
    act(house, on, flag, reason="it burns", by="ann")
    fleet.clock.advance(10)
    act(other, on, flag)
    act(other, off, flag)
    fleet.cut = set()
    house.rollouts.tick()
    house.refresh()

    assert not killed(house)
    assert house.rollouts.pending == ()
    assert [act for act, _, _ in fleet.acts(subject)] == [on, off]
    assert sum("ann" in record.getMessage() and "say it again" in record.getMessage() for record in caplog.records) == 1


@SWITCHES
def test_a_later_kill_wins_over_an_unkill_that_waits(fleet, on, off, flag, subject):
    house, other = fleet.house(), fleet.house("two")
    act(house, on, flag)
    fleet.cut = {"one"}
    act(house, off, flag)
    assert not killed(house)
    fleet.clock.advance(1)
    other.refresh()
    act(other, off, flag)
    fleet.clock.advance(1)
    act(other, on, flag, by="bob")
    fleet.cut = set()
    house.rollouts.tick()
    house.refresh()

    assert killed(house)
    assert [act for act, _, _ in fleet.acts(subject)] == [on, off, on]


@SWITCHES
def test_an_earlier_word_of_others_does_not_undo_it(fleet, on, off, flag, subject):
    house, other = fleet.house(), fleet.house("two")
    act(other, on, flag)
    fleet.cut = {"one"}
    act(other, off, flag)
    fleet.clock.advance(1)
    act(house, on, flag, by="ann")
    fleet.cut = set()
    house.rollouts.tick()
    other.refresh()

    assert killed(other)
    assert fleet.acts(subject)[-1][:2] == (on, "ann")


def test_it_serves_safe_before_the_store_is_asked(fleet):
    """A store that takes its time does not prolong what a person wants to end."""
    seen = []
    store = Wrapped(fleet.store)
    house = House(store, fleet.clock, TABLES)
    store.before = lambda what: seen.append(killed(house, PLAIN))
    house.rollouts.kill(PLAIN)

    assert seen
    assert all(seen)


def test_killed_twice_the_first_to_do_it_is_named(fleet):
    house, other = fleet.house(), fleet.house("two")
    other.rollouts.kill(PLAIN, by="bob", reason="first")
    house.rollouts.kill(PLAIN, by="ann", reason="second")

    assert "killed by bob: first" in str(house.client.explain(PLAIN, "u"))
    assert fleet.acts(f"flag/{PLAIN}") == [("kill", "bob", "first")]


def test_a_flag_that_nobody_knows_is_refused_and_leaves_nothing(fleet):
    house = fleet.house()
    with pytest.raises(pf.TransitionRefused, match="did you mean 'plain'"):
        house.rollouts.kill("plane")
    fleet.cut = {"one"}
    with pytest.raises(StoreError):  # whether the store knows it can't be said
        house.rollouts.kill("plane")

    assert house.rollouts.pending == ()
    assert fleet.files() == []


def test_a_panic_is_of_every_flag_and_leaves_what_was_killed_killed(fleet):
    house, other = fleet.house(), fleet.house("two")
    house.rollouts.kill(PLAIN)
    house.rollouts.panic(reason="everything burns", by="ann")
    other.refresh()

    assert killed(other)
    assert other.client.panicking
    assert "panic by ann: everything burns" in str(other.client.explain(FLAG, "u"))
    assert other.rollouts.status(FLAG).panic == "ann: everything burns"
    assert "panic by ann: everything burns" in str(other.rollouts.status(FLAG))
    other.rollouts.unpanic()
    house.refresh()
    assert not killed(house)
    assert killed(house, PLAIN)
    assert house.rollouts.verify(PLAIN) == ()
    chain = [(entry.body["number"], entry.body["prev"] == "") for entry in fleet.store.history("panic")]
    assert chain == [(1, True), (2, False)]


def test_a_newly_connected_process_is_in_panic_at_once(tmp_path):
    address, source = f"sqlite:///{tmp_path / 'state.db'}", {"flags": {"x": {"percent": 100}}}
    with pf.connect(source, store=address, poll=None) as one:
        one.panic(reason="everything burns", by="ann")
        with pf.connect(source, store=address, poll=None) as two:
            assert two.evaluate("x", True, "u").reason == "DISABLED"
            said = two.status()
            assert (said.panicking, said.panic.by, said.panic.reason) == (True, "ann", "everything burns")
            assert json.loads(json.dumps(said.to_dict()))["panic"]["by"] == "ann"
            two.unpanic()
        one.refresh()
        assert one.is_enabled("x", "u")


def test_the_process_own_panic_and_the_stores_are_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("PROGFLAGS_PANIC", str(tmp_path / "panic"))
    with pf.connect({"flags": {"x": {"percent": 100}}}, store=f"sqlite:///{tmp_path / 'state.db'}", poll=None) as flags:
        (tmp_path / "panic").touch()
        flags.refresh()
        flags.panic()
        flags.unpanic()
        assert flags.status().panic is None
        assert flags.status().panicking
        assert not flags.is_enabled("x", "u")
        flags.panic()
        (tmp_path / "panic").unlink()
        flags.refresh()
        assert not flags.is_enabled("x", "u")
        flags.panic(False)
        assert flags.is_enabled("x", "u")


def test_a_typed_flag_and_an_override_follow_a_panic(fleet):
    house = fleet.house()
    flag = pf.Flag(PLAIN, default=True)
    ask = flag.bind(house.client)
    with house.client.override({PLAIN: "on"}):
        assert ask("u") is True
        house.rollouts.panic()
        assert ask("u") is False
    assert ask("u") is False


def test_an_intent_of_an_older_progflags_is_read(tmp_path):
    Kept(tmp_path, "a").keep({"x": Intent(1, "smoke", "ann")})
    Kept(tmp_path, "a", "switch").keep({"x": Intent(0, "fire", "bob", on=False, at=5.0, seen=3)})

    assert Kept(tmp_path, "a").read() == {"x": Intent(1, "smoke", "ann")}
    assert Kept(tmp_path, "a", "switch").read() == {"x": Intent(0, "fire", "bob", on=False, at=5.0, seen=3)}
    assert Intent.of({"run": 1, "reason": "smoke", "actor": "ann", "braked": False}) == Intent(1, "smoke", "ann")


@SWITCHES
def test_nothing_is_promoted_while_it_stands(fleet, on, off, flag, subject):
    """Not by evidence that was there already, nor by a person who does not say force."""
    table = {FLAG: rollout_table(), PLAIN: None}
    house = House(fleet.store, fleet.clock, table)
    house.rollouts.start(FLAG)
    house.run(60)
    act(house, on, flag, reason="it burns", by="ann")
    percent = house.status().percent
    house.run(120)
    assert house.status().percent == percent
    assert "by ann: it burns" in house.status().waiting
    with pytest.raises(pf.TransitionRefused, match="by ann: it burns"):
        house.rollouts.promote(FLAG)
    act(house, off, flag)
    house.run(120)
    assert house.status().percent > percent


def test_a_rollback_is_none_the_less_possible_in_a_panic(fleet):
    house = fleet.house()
    house.rollouts.start(FLAG)
    house.rollouts.panic()
    assert house.rollouts.rollback(FLAG).state is State.ROLLED_BACK


def test_what_goes_wrong_otherwise_leaves_nothing_behind(fleet):
    """A store with a mistake in it: whoever asked hears of it, and the switch is as it was."""
    store = Wrapped(fleet.store)
    house = House(store, fleet.clock, TABLES, keep=fleet.folder / "one")

    def broken(what):
        if what == "commit":
            raise TypeError("not that kind of store")

    store.before = broken
    with pytest.raises(TypeError):
        house.rollouts.kill(PLAIN)
    assert not killed(house, PLAIN)
    assert house.rollouts.pending == ()
    assert fleet.files() == []
