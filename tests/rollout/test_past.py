"""The past: what somebody got at a moment, and since when a flag is known, by the histories that the store keeps."""

import json
import random

import pytest

import progflags as pf
from progflags.cli import main
from progflags.errors import StoreError
from progflags.flags import EVERYTHING
from progflags.rollout import lives_at
from progflags.sources import push
from progflags.sources._contract import Piece
from progflags.store import MemoryStore, open_store
from progflags.testing import ManualClock
from rollout.places import KINDS, place

STAGES = [{"percent": 10, "bake": "60s"}, {"percent": 50, "bake": "60s"}]
DOCUMENT = {
    "flags": {
        "new": {"rollout": {"stages": STAGES}},
        "plain": {"percent": 30},
        "above": {"percent": 100, "requires": [{"flag": "new", "is": "on"}]},
        "dated": {"rules": [{"from": "2027-01-15T08:05:00Z", "serve": "on"}]},
    }
}
USERS = [f"user-{n}" for n in range(6)]


@pytest.fixture
def clock():
    return ManualClock(wall=1_800_000_000.0)


@pytest.fixture(params=["memory", *KINDS])
def store(request, tmp_path, clock):
    with place(request.param, tmp_path) as address:
        opened = open_store(address, clock=clock)
        yield opened
        opened.close()


def client(source, store, clock):
    return pf.connect(source, store=store, poll=None, clock=clock)


def answers(flags, **at):
    """What everybody gets of every flag, and why."""
    found = {}
    for flag in DOCUMENT["flags"]:
        for user in USERS:
            answer = flags.explain(flag, user, **at).evaluation
            found[flag, user] = f"{answer.variant} {answer.value} {answer.reason}"
    return found


def turns(flags):
    """Whatever people do, in any order; what is not legal just now is refused, and changes nothing."""
    rollouts = flags.rollouts
    return (
        lambda: rollouts.start("new", by="ann"),
        lambda: rollouts.promote("new", by="ann", force=True),
        lambda: rollouts.promote("new", by="ann", full=True, force=True),
        lambda: rollouts.rollback("new", by="ann", reason="it is bad"),
        lambda: rollouts.retry("new", by="ann", force=True),
        lambda: rollouts.abort("new", by="ann"),
        lambda: flags.kill("new", by="eve", reason="at once"),
        lambda: flags.unkill("new", by="eve"),
        lambda: flags.kill("plain", by="eve"),
        lambda: flags.unkill("plain", by="eve"),
        lambda: flags.panic(by="eve", reason="all is lost"),
        lambda: flags.unpanic(by="eve"),
        rollouts.tick,
    )


def test_what_somebody_got_is_told_long_after(store, clock):
    """At every moment between forty turns of whatever can be turned: whoever asks later is told what was answered then."""
    chance = random.Random(4)
    with client(DOCUMENT, store, clock) as flags:
        assert not flags.definitions.rejected
        served = {}
        for _ in range(40):
            try:
                chance.choice(turns(flags))()
            except pf.TransitionRefused:
                continue
            clock.advance(5)
            served[clock.now()] = answers(flags)
            clock.advance(5)
        assert len({tuple(then.values()) for then in served.values()}) > 3
        for at, then in served.items():
            assert answers(flags, at=at) == then, at


def test_it_says_what_is_as_of_then_and_what_as_of_now(clock, tmp_path):
    path = tmp_path / "flags.json"
    path.write_text(json.dumps({"flags": {"plain": {"percent": 30}}}))
    with client(path, MemoryStore(clock=clock), clock) as flags:
        flags.refresh()
        clock.advance(60)
        before = clock.now()
        assert flags.explain("plain", "u", at=before).notes[1].endswith("it has not changed since")
        clock.advance(60)
        path.write_text(json.dumps({"flags": {"plain": {"percent": 60}, "added": {"percent": 100}}}))
        flags.refresh()
        told = flags.explain("plain", "u", at=before)
        late = flags.explain("added", "u", at=before)

    assert told.notes[0] == "as of 2027-01-15 08:01:00Z: shares, kills and panics as the history has them, and the dates in rules"
    assert told.notes[1].endswith("it has changed since: 2027-01-15 08:02:00Z (changed: rules)")
    assert late.notes[1].endswith("the flag was added only on 2027-01-15 08:02:00Z")
    assert told.notes[0] in str(told)
    assert told.to_dict()["notes"] == list(told.notes)


def test_before_any_history_nothing_is_claimed(clock):
    with client(DOCUMENT, MemoryStore(clock=clock), clock) as flags:
        flags.refresh()
        told = flags.explain("plain", "u", at=clock.now() - 86_400)

    assert told.notes[1].endswith("whether it was the same then is unknown")


def test_a_start_with_another_file_is_blind(clock, tmp_path):
    """A deployment brings a new file and new processes: nobody knows what of it is new, and nobody says so."""
    store = MemoryStore("blind", clock=clock)
    with client({"flags": {"old": {}}}, store, clock) as flags:
        flags.refresh()
        before = clock.now() + 1
    clock.advance(3_600)
    with client({"flags": {"old": {}, "new": {}}}, store, clock) as flags:
        flags.refresh()
        assert {flag: (seen.at, seen.added) for flag, seen in flags.seen("old", "new").items()} == {
            "old": (clock.now(), False),
            "new": (clock.now(), False),
        }
        assert "unknown" in flags.explain("old", "u", at=before).notes[1]


def test_since_when_a_flag_is_known(clock, tmp_path):
    """Added while a process looked: then. There when the history began: by then."""
    path = tmp_path / "flags.json"
    path.write_text(json.dumps({"flags": {"first": {}}}))
    store = MemoryStore(clock=clock)
    with client(path, store, clock) as flags:
        flags.refresh()
        clock.advance(60)
        path.write_text(json.dumps({"flags": {"first": {"percent": 5}, "second": {}}}))
        flags.refresh()
        seen = flags.seen("first", "second", "third")
        again = flags.seen("first", "second", "third")

    began = 1_800_000_000.0
    assert (seen["first"].at, seen["first"].added, seen["first"].changes) == (began, False, ((began + 60, "changed: rules"),))
    assert (seen["second"].at, seen["second"].added) == (began + 60, True)
    assert seen == again


def test_lines_are_read_once_and_anew_where_the_store_has_begun_again(clock):
    asked = []

    class Watched(MemoryStore):
        def history(self, subject, *, after=0, limit=1000):
            found = super().history(subject, after=after, limit=limit)
            asked.append(len(found))
            return found

    store = Watched(clock=clock)
    for n in range(30):
        push(store, [Piece("a.toml", "toml", f"[flags.a]\npercent = {n}\n[flags.f{n}]\n".encode())], force=True)
    with client(None, store, clock) as flags:
        assert flags.seen("a")["a"].changes[-1][1] == "changed: rules"
        whole = sum(asked)
        asked.clear()
        flags.seen("a")
    assert whole >= 30
    assert sum(asked) <= 2


@pytest.mark.parametrize("at", [True, "yesterday", float("nan"), float("inf"), 1e20, None.__class__])
def test_a_moment_that_is_none_is_refused(clock, at):
    with client(DOCUMENT, MemoryStore(clock=clock), clock) as flags, pytest.raises(ValueError, match="wall time"):
        flags.explain("plain", "u", at=at)


def test_a_store_out_of_reach_is_said(clock):
    store = MemoryStore(clock=clock)
    with client(DOCUMENT, store, clock) as flags:
        store.close()
        with pytest.raises(StoreError):
            flags.explain("plain", "u", at=clock.now())
        with pytest.raises(StoreError):
            flags.seen("plain")
        assert flags.explain("plain", "u").evaluation.variant is not None


def test_a_share_that_no_history_has_is_told_as_it_is(clock):
    """Written by something older, or by hand."""
    from uuid import uuid4

    from progflags.flags import Killed, Live
    from progflags.store import Commit

    store = MemoryStore(clock=clock)
    store.commit(Commit({"flag/new": Live("new", share=70_000, killed=Killed("old", "ann", 5.0)).body()}, {}, (), uuid4().hex))

    found = lives_at(store, ["new"], clock.now() - 1)
    assert (found["new"].share, found["new"].killed) == (70_000, Killed("old", "ann", 5.0))
    assert found[EVERYTHING].killed is None


def test_the_command_line_explains_a_past_moment(clock, tmp_path, capsys):
    path, address = tmp_path / "flags.json", f"sqlite:///{tmp_path / 'state.db'}"
    path.write_text(json.dumps(DOCUMENT))
    with pf.connect(path, store=address, poll=None, clock=clock) as flags:
        flags.kill("plain", by="eve", reason="at once")
        clock.advance(3600)
        flags.unkill("plain", by="eve")
    said = ["--flags", str(path), "--store", address]

    assert main([*said, "explain", "plain", "--key", "u", "--at", "2027-01-15T08:30"]) == 0
    assert "killed by eve: at once" in capsys.readouterr().out
    assert main([*said, "--json", "explain", "plain", "--key", "u", "--at", "2027-01-15T12:00+02:00"]) == 0
    assert json.loads(capsys.readouterr().out)["reason"] == "SPLIT"
    assert main([*said, "explain", "plain", "--key", "u", "--at", "1h"]) == 0
    assert "as of" in capsys.readouterr().out
    assert main([*said, "explain", "plain", "--at", "soon"]) == 2
    assert "is no time" in capsys.readouterr().err
