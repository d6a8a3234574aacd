"""The timeline: what was changed, when, by whom and why, over every flag, from what is recorded."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import progflags as pf
from progflags.cli import main
from progflags.cli._watch import screen
from progflags.events import Change, ChangeKind
from progflags.flags import Client
from progflags.rollout import Hook, State
from progflags.store import Commit, MemoryStore, open_store
from progflags.testing import ManualClock
from rollout.places import KINDS, another, place
from support.patience import until

STAGES = [{"percent": 10, "bake": "60s"}, {"percent": 50, "bake": "60s"}]
DOCUMENT = {"flags": {"new": {"rollout": {"stages": STAGES}}, "plain": {"percent": 100}}}


SHARED = pytest.mark.parametrize("address", KINDS, indirect=True)


@pytest.fixture
def clock():
    return ManualClock(wall=1_800_000_000.0)


@pytest.fixture(params=["memory", *KINDS])
def address(request, tmp_path):
    with place(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def store(address, clock):
    opened = open_store(address, clock=clock)
    yield opened
    opened.close()


def file(path, percent=100, **more):
    path.write_text(json.dumps({"flags": {"plain": {"percent": percent}, "new": {"rollout": {"stages": STAGES}}, **more}}))
    return path


def client(source, store, clock, **options):
    return pf.connect(source, store=store, poll=None, clock=clock, **options)


def kinds(changes):
    return [str(change.kind) for change in changes]


def test_a_kill_of_a_plain_flag_can_be_read(store, clock):
    """Who, when, why and from what to what; and the same of its end."""
    with client(DOCUMENT, store, clock) as flags:
        flags.kill("plain", reason="payments fail", by="ann")
        clock.advance(60)
        flags.unkill("plain", reason="fixed", by="bob")
        unkill, kill = flags.changes("plain")

    assert kill == Change(ChangeKind.KILL, "plain", 1_800_000_000.0, "ann", "payments fail", store.url, False, True)
    assert unkill == Change(ChangeKind.UNKILL, "plain", 1_800_000_060.0, "bob", "fixed", store.url, True, False)
    assert str(kill) == f"2027-01-15 08:00:00Z plain kill serving → killed by ann: payments fail [{store.url}]"


def test_everything_is_on_one_timeline(store, clock, tmp_path):
    """Definitions, shares, kills, panics and steps over every flag, newest first."""
    path = file(tmp_path / "flags.json")
    with client(path, store, clock) as flags:
        for act in (
            lambda: flags.refresh(),
            lambda: flags.rollouts.start("new", reason="go", by="ann"),
            lambda: flags.kill("plain", by="ann"),
            lambda: flags.panic(reason="all is lost", by="bob"),
            lambda: flags.unpanic(by="bob"),
            lambda: (file(path, percent=50), flags.refresh()),
            lambda: flags.unkill("plain", by="ann"),
        ):
            act()
            clock.advance(10)
        changes = flags.changes()

    assert kinds(changes) == [
        "unkill", "definition", "unpanic", "panic", "kill", "share", "transition", "transition", "definition",
    ]  # fmt: skip
    assert [change.at for change in changes] == sorted((change.at for change in changes), reverse=True)
    definition = changes[1]
    assert (definition.flag, definition.reason, definition.source) == ("plain", "changed: rules", str(path))
    assert definition.before == changes[-1].after != definition.after
    share = changes[5]
    assert (share.flag, share.before, share.after, share.actor) == ("new", 0.0, 10.0, "ann")


def test_of_one_flag_only_what_is_about_it(store, clock):
    """Its own, a panic, and of a change to several definitions what became of it."""
    with client(DOCUMENT, store, clock) as flags:
        flags.kill("plain", by="ann")
        flags.rollouts.start("new", by="ann")
        flags.panic(by="bob")

        assert kinds(flags.changes("plain")) == ["panic", "kill"]
        assert kinds(flags.changes("new")) == ["panic", "share", "transition", "transition"]


def test_since_and_limit_bound_the_answer_and_the_reading(store, clock):
    """A thousand changes elsewhere are not read for the last three."""
    read = []

    class Counting:
        def __getattr__(self, name):
            return getattr(store, name)

        def history(self, subject, *, after=0, limit=1000):
            found = store.history(subject, after=after, limit=limit)
            read.extend(found)
            return found

    from progflags.rollout import changes

    with client({"flags": {f"f{number}": {} for number in range(50)}}, store, clock) as flags:
        for round_ in range(4):
            for number in range(50):
                (flags.kill if round_ % 2 == 0 else flags.unkill)(f"f{number}", by="ann")
                clock.advance(1)
        last = changes(Counting(), None, None, 3)
        few = len(read)
        recent = flags.changes(since=clock.now() - 5.5)

    assert [change.flag for change in last] == ["f49", "f48", "f47"]
    assert few < 20
    assert [change.flag for change in recent] == ["f49", "f48", "f47", "f46", "f45"]
    with pytest.raises(ValueError, match="limit"):
        flags.changes(limit=0)


def test_a_long_history_is_read_from_its_end(store, clock):
    """Several hundred lines of one flag, in their order, to the first."""
    with client(DOCUMENT, store, clock) as flags:
        for number in range(125):
            flags.kill("plain", reason=str(number), by="ann")
            flags.unkill("plain", by="ann")
            clock.advance(1)
        reasons = [change.reason for change in flags.changes("plain", limit=1_000) if change.kind is ChangeKind.KILL]
        assert not flags.rollouts.verify("plain")

    assert reasons == [str(number) for number in reversed(range(125))]


def test_a_definition_that_every_process_sees_is_one_line(store, clock, tmp_path):
    """By whoever was first, across restarts too; the next look of the others adds nothing."""
    path = file(tmp_path / "flags.json")
    workers = [client(path, store, clock) for _ in range(4)]
    try:
        for worker in workers:
            worker.refresh()
        file(path, percent=50)
        for worker in workers:
            worker.refresh()
        restarted = client(path, store, clock)
        workers.append(restarted)
        restarted.refresh()
        file(path, percent=25, other={})
        for worker in reversed(workers):
            worker.refresh()
        changes = restarted.changes()
    finally:
        for worker in workers:
            worker.close()

    assert kinds(changes) == ["definition"] * 3
    assert {entry.body["number"] for entry in store.history(f"defined/{path}")} == {1, 2, 3}
    assert changes[0].reason == "other (added), plain (changed: rules)"
    assert changes[0].before == changes[1].after


def test_without_a_store_this_process_remembers(clock, tmp_path):
    """Nothing is written anywhere, and the definitions' changes are there all the same."""
    path = file(tmp_path / "flags.json")
    with pf.connect(path, poll=None, clock=clock) as flags:
        file(path, percent=50)
        flags.refresh()
        clock.advance(5)
        now, first = flags.changes()

        assert (now.flag, now.reason, first.before) == ("plain", "changed: rules", "")
        assert flags.changes("new") == ()
        assert flags.changes(since=clock.now() - 1) == ()


@SHARED
def test_a_push_says_what_it_changed(address, tmp_path, clock, capsys):
    """And an older push, which said neither when nor what, is still read."""
    url = address
    path = file(tmp_path / "flags.json")
    assert main(["push", str(path), "--store", url, "--by", "ann"]) == 0
    file(path, percent=50)
    assert main(["push", str(path), "--store", url, "--by", "bob"]) == 0
    capsys.readouterr()
    with pf.connect(store=url, poll=None) as flags:
        last, first = flags.changes()
        assert (last.actor, last.flag, last.reason, last.before) == ("bob", "plain", "changed: rules", first.after)
        flags.refresh()
        assert len(flags.changes()) == 2

    store = open_store(another(address, 2))
    body = {"v": 1, "by": "eve", "pieces": [], "types": {}}
    store.commit(Commit({"definitions": body}, {}, [("definitions", {"by": "eve", "digest": "abc", "files": ["f"], "flags": 1})]))
    with pf.connect(DOCUMENT, store=store, poll=None, control=False) as flags:
        (old,) = flags.changes()
    store.close()
    assert (old.actor, old.after, old.at) == ("eve", "abc", 0.0)


@SHARED
def test_a_file_that_changes_is_written_down_in_the_background(address, tmp_path):
    """With threads, nobody has to ask."""
    path = file(tmp_path / "flags.json")
    with pf.connect(path, store=address, poll=0.05) as flags:
        until(lambda: len(flags.changes()) >= 1)
        file(path, percent=50)
        until(lambda: len(flags.changes()) >= 2)
        assert kinds(flags.changes()) == ["definition", "definition"]


def test_hooks_and_listeners_hear_of_all_of_it(store, clock, tmp_path):
    """Kills, panics and definitions too, once each, in the keys that a step has."""
    heard, told = [], []
    path = file(tmp_path / "flags.json")
    with client(path, store, clock) as flags:
        flags.refresh()
        flags.bus.listen(Change, heard.append)
        flags.rollouts.notify(Hook("hook", told.append))
        flags.rollouts.deliver()
        flags.kill("plain", reason="r", by="ann")
        flags.panic(by="bob")
        flags.unpanic(by="bob")
        flags.rollouts.start("new", by="ann")
        file(path, percent=50)
        flags.refresh()
        flags.rollouts.deliver()
        flags.rollouts.deliver()

    expected = {"kill", "panic", "unpanic", "transition", "definition"}
    assert {line["kind"] for line in told} == expected
    assert {str(change.kind) for change in heard} == expected | {"share"}
    assert len({line["id"] for line in told}) == len(told) == 6
    assert all({"flag", "from", "to", "actor", "reason", "at", "percent"} <= line.keys() for line in told)
    (kill,) = [line for line in told if line["kind"] == "kill"]
    assert (kill["flag"], kill["from"], kill["to"], kill["actor"], kill["reason"]) == ("plain", False, True, "ann", "r")
    json.dumps(told, allow_nan=False)


def test_a_sink_of_an_older_progflags_hears_what_comes_next(store, clock):
    """Its place says nothing of kills: those before are not told again."""
    told = []
    with client(DOCUMENT, store, clock) as flags:
        flags.kill("plain", by="ann")
        store.commit(Commit({"outbox/hook": {"v": 1, "worker": "gone", "places": {}}}))
        flags.rollouts.notify(Hook("hook", told.append))
        flags.rollouts.deliver()
        clock.advance(31)
        flags.rollouts.deliver()
        flags.unkill("plain", by="ann")
        for _ in range(3):
            flags.rollouts.deliver()
            clock.advance(31)

    assert [line["kind"] for line in told] == ["unkill"]


@SHARED
def test_the_command_prints_the_same_as_the_function(address, capsys):
    """`progflags log [FLAG] [--since] [--json]`, from the store alone."""
    url = address
    with pf.connect(DOCUMENT, store=url, poll=None) as flags:
        flags.kill("plain", reason="why\x1b", by="ann")
        flags.panic(by="bob")
        changes = flags.changes()

    assert main(["log", "--store", url]) == 0
    assert capsys.readouterr().out == "".join(f"{change}\n" for change in changes)
    assert main(["log", "plain", "--store", url, "--since", "1h", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [change.to_dict() for change in changes if change.kind is not ChangeKind.DEFINITION]
    assert main(["log", "nobody", "--store", url, "--limit", "1"]) == 0
    assert main(["log", "--since", "yesterday", "--store", url]) == 2


def test_lines_of_a_push_and_of_two_files_are_read_beside_each_other(store, clock, tmp_path):
    """Whatever order a store gives its documents in, and however it keeps histories: by time, and of each flag what is its."""
    with client(file(tmp_path / "a.json"), store, clock) as one, client(file(tmp_path / "b.json", percent=30), store, clock) as two:
        for act in (one.refresh, two.refresh, lambda: one.kill("plain", by="ann"), lambda: file(tmp_path / "a.json", 10), one.refresh):
            act()
            clock.advance(1)
        changes, of_one = two.changes(), two.changes("new")
        page = two.changes("plain", limit=2)

    assert kinds(changes) == ["definition", "kill", "definition", "definition"]
    assert {change.source for change in changes if change.kind is ChangeKind.DEFINITION} == {
        str(tmp_path / "a.json"),
        str(tmp_path / "b.json"),
    }
    assert kinds(page) == ["definition", "kill"]
    assert [change for change in of_one if "plain" in change.reason] == []


# -- one model, two printings -----------------------------------------------------------------------------------------------


SWITCHES = {
    "kill": (lambda flags: flags.kill("new", reason="payments fail", by="bob"), "killed", "killed by bob: payments fail"),
    "panic": (lambda flags: flags.panic(reason="all is lost", by="bob"), "panic", "panic by bob: all is lost"),
    "panic of this process": (lambda flags: Client.panic(flags), "panic", "panic by this process alone: PROGFLAGS_PANIC"),
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_flag_that_is_stopped_is_so_in_every_printing(switch, clock):
    """Text, JSON, the screen, the followed line and the report in each of its forms call it killed, or panic, and say why."""
    throw, word, why = SWITCHES[switch]
    with client(DOCUMENT, MemoryStore(clock=clock), clock) as flags:
        flags.rollouts.start("new", by="ann")
        for arm in ("control", "candidate"):
            flags.metrics.record("new", arm=arm, seconds=0.1, error=False, n=100)
        clock.advance(30)
        flags.rollouts.tick()
        before = flags.rollouts.report("new")
        throw(flags)
        status, report = flags.rollouts.status("new"), flags.rollouts.report("new")

    head = f"new: {word}, baking"
    assert str(status).startswith(head)
    assert why in str(status)
    assert (status.to_dict()["standing"], status.to_dict()["stopped"]) == (f"{word}, baking", why)
    assert screen(status).startswith(f"new   {word.upper()}, BAKING")
    assert f"everybody gets the safe variant: {why}" in screen(status)
    assert (report.to_dict()["title"], report.to_dict()["stopped"]) == (f"{head} at 10 %", why)
    assert str(report).startswith(f"{why}\n")
    page = report.to_html()
    assert f"<title>{head} at 10 %</title>" in page
    assert f">✕ {why}</span></h1>" in page
    assert page.count("<h1>") == before.to_html().count("<h1>") == 1
    assert before.to_dict()["stopped"] == ""


@pytest.mark.parametrize("verb", ["kill", "panic"])
def test_the_commands_that_print_a_rollout_call_it_stopped(verb, tmp_path, capsys):
    """`rollout status`, `rollout watch` and `report` with its page, in text and in JSON."""
    where = ["--flags", str(file(tmp_path / "flags.json")), "--store", f"sqlite:///{tmp_path}/live.db"]
    word = "killed" if verb == "kill" else "panic"
    clock = ManualClock()
    with pf.connect(where[1], store=where[3], poll=None, clock=clock) as flags:
        flags.rollouts.start("new", by="ann")
        flags.metrics.record("new", arm="control", seconds=0.1, error=False, n=100)
        clock.advance(30)
        flags.rollouts.tick()
        flags.rollouts.abort("new")
    assert main([*where, verb, *(["new"] if verb == "kill" else []), "--reason", "it burns", "--by", "bob"]) == 0
    capsys.readouterr()

    for command in (["rollout", "status", "new"], ["rollout", "watch", "new"], ["report", "new"]):
        main([*where, *command])
        assert f"new: {word}, aborted at 0 %" in capsys.readouterr().out
        main([*where, *command, "--json"])
        told = json.loads(capsys.readouterr().out)
        assert told["stopped"] == f"{word} by bob: it burns"
    main([*where, "report", "new", "--html", str(tmp_path / "page.html")])
    assert f"✕ {word} by bob: it burns</span></h1>" in (tmp_path / "page.html").read_text()


SAID = {
    "flag": ("other-flag", "other-flag"),
    "state": (State.HELD, "held"),
    "stage": (1, "stage 2/2"),
    "percent": (12.5, "12.5 %"),
    "bake_left": (33.0, "33 s to bake"),
    "waiting": ("the window is closed", "the window is closed"),
    "reason": ("somebody said so", "somebody said so"),
    "pending": (True, "not stored yet"),
    "changed": (True, "the file's plan is another by now"),
    "panic": ("bob: all is lost", "panic by bob: all is lost"),
    "killed_by": ("bob: why", "killed by bob: why"),
}
"""Field → another value, and the words that say it in the line."""


@pytest.mark.parametrize("name", SAID)
def test_what_the_line_of_a_status_says_is_what_its_json_says(name, clock):
    """One model, two printings: a field that changes in one changes in the other, and every word of it follows the JSON."""
    with client(DOCUMENT, MemoryStore(clock=clock), clock) as flags:
        flags.rollouts.start("new", by="ann")
        status = flags.rollouts.status("new")
    value, words = SAID[name]
    more = {"killed": True} if name == "killed_by" else {}
    other = dataclasses.replace(status, **{name: value}, **more)

    assert other.to_dict()[name] == value
    assert words in str(other)
    assert words not in str(status)
    assert other.to_dict() != status.to_dict()


@given(
    st.sampled_from(ChangeKind),
    st.text(max_size=20),
    st.floats(0, 4e9),
    st.text(max_size=20),
    st.text(max_size=20),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_a_changes_line_follows_from_its_json(kind, flag, at, actor, reason, before, after):
    """The line is made of the JSON's values alone: read back, it prints the same."""
    moved = (before, after) if kind is ChangeKind.SHARE else ("a" * 64, "b" * 64) if kind is ChangeKind.DEFINITION else (False, True)
    change = Change(kind, flag, at, actor, reason, "store", *moved)
    read = json.loads(json.dumps(change.to_dict()))

    assert str(Change(**{**read, "kind": ChangeKind(read["kind"])})) == str(change)
