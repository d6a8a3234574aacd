"""Snapshots: a fleet that can only read follows definitions and live state as one at the store does, over real sockets and files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import progflags as pf
from progflags.contrib import _snapshot, publish
from progflags.contrib._afar import Afar, Answer
from progflags.contrib.http import HttpSource
from progflags.contrib.publish import Publisher
from progflags.errors import DefinitionError, PublishError, ReadOnlyError
from progflags.flags import EVERYTHING, Killed, Live
from progflags.rollout import Webhook
from progflags.sources import Source
from progflags.store import Commit, MemoryStore
from support.patience import PATIENCE, until
from support.site import Site

STAGES = [{"percent": 50, "bake": "1h", "gates": []}, {"percent": 90, "bake": "1h", "gates": []}]
FLAGS = {
    "flags": {
        "new": {"percent": 100},
        "rolling": {"rollout": {"stages": STAGES, "watch": "0s"}},
    }
}
PEOPLE = [f"user-{n}" for n in range(200)]


@pytest.fixture
def site():
    made = Site(b"", "/snapshot.json")
    yield made
    for one in made.readers:
        one.close()
    made.close()


@pytest.fixture
def home(tmp_path):
    """A process at the store, which may write."""
    with pf.connect(FLAGS, store=f"sqlite:///{tmp_path}/live.db", poll=None) as flags:
        yield flags


@pytest.fixture
def shelf(tmp_path):
    return tmp_path / "public" / "snapshot.json"


def publisher(home, shelf, source=FLAGS, **how):
    return closing(Publisher(source, store=home.status().store, to=shelf, **how))


@contextmanager
def following(home, shelf, site, **how):
    """Published after every change, and on the site at once."""
    ended = threading.Event()
    site.answer = lambda handler: site.plain(handler, shelf.read_bytes())
    with publisher(home, shelf, **how) as one:
        thread = threading.Thread(target=one.follow, args=(ended,))
        thread.start()
        try:
            until(shelf.exists)
            yield one
        finally:
            ended.set()
            thread.join(PATIENCE)
            assert not thread.is_alive()


def reader(site, poll=0.02, **how):
    site.readers.append(HttpSource(site.url, **{"every": 0.05, "timeout": PATIENCE, **how}))
    return pf.connect(site.readers[-1], poll=poll)


def snapshot(revision, at=1.0, era=0, beat=0.0, **live):
    """As it would be published: with `new` killed, or not."""
    pieces = Publisher(FLAGS, store="memory://", to="nowhere")._definitions()
    documents = {f"flag/{key}": pf.store.Document(f"flag/{key}", revision, one.body()) for key, one in live.items()}
    return _snapshot.Snapshot(revision, at, pieces, documents, era, beat).text()


KILLED = Live("new", killed=Killed("bad", "ann", 1.0))
WELL = Live("new")


# ── what arrives ───────────────────────────────────────────────────────────


def test_each_reader_chooses_its_environment(home, shelf, site):
    """What is published is the whole document; a change in one environment moves nobody in the other."""
    document = {
        "flags": {"new": {"percent": 0}},
        "environments": {"production": {}, "staging": {"flags": {"new": {"percent": 100}}}},
    }
    with following(home, shelf, site, source=document):
        for environment, served in (("staging", True), ("production", False), ("", False)):
            site.readers.append(HttpSource(site.url, every=0.05, timeout=PATIENCE))
            with pf.connect(site.readers[-1], environment=environment, poll=None) as far:
                assert far.is_enabled("new", "u") is served
                assert far.status().environment == environment
        site.readers.append(HttpSource(site.url, every=0.05, timeout=PATIENCE))
        with pytest.raises(DefinitionError, match=r"there is no environment 'stagin' \(did you mean 'staging'\?\)"):
            pf.connect(site.readers[-1], environment="stagin", poll=None)


def test_kills_shares_rollbacks_and_panics_arrive(home, shelf, site):
    """With the next question, as if the reader were at the store."""
    with following(home, shelf, site), reader(site) as far:

        def alike():
            home.refresh()
            return all(home.evaluate(key, None, who) == far.evaluate(key, None, who) for key in FLAGS["flags"] for who in PEOPLE)

        assert far.is_enabled("new", "u")
        home.kill("new", reason="bad", by="ann")
        until(lambda: not far.is_enabled("new", "u"))
        home.unkill("new")
        until(lambda: far.is_enabled("new", "u"))
        home.rollouts.start("rolling")
        until(lambda: sum(far.is_enabled("rolling", who) for who in PEOPLE) == sum(home.is_enabled("rolling", who) for who in PEOPLE) > 50)
        until(alike)
        assert far.rollouts.status("rolling").state == "ramping" or far.rollouts.status("rolling").percent == 50
        home.rollouts.rollback("rolling", reason="it is slow")
        until(lambda: not any(far.is_enabled("rolling", who) for who in PEOPLE))
        assert far.rollouts.status("rolling").state == home.rollouts.status("rolling").state
        home.panic(reason="everything", by="ann")
        until(lambda: far.status().panicking and not far.is_enabled("new", "u"))
        assert far.status().panic.by == "ann"
        home.unpanic()
        until(alike)


def test_changed_definitions_arrive_although_the_store_stands_still(home, shelf, site, tmp_path):
    file = tmp_path / "flags.json"
    file.write_text(json.dumps(FLAGS))
    with following(home, shelf, site, source=file), reader(site) as far:
        before = json.loads(shelf.read_bytes())["revision"]
        file.write_text(json.dumps({"flags": {**FLAGS["flags"], "new": {"percent": 0}}}))
        until(lambda: not far.is_enabled("new", "u"))
        assert json.loads(shelf.read_bytes())["revision"] == before


def test_what_was_pushed_to_the_store_is_published(home, shelf):
    pf.sources.push(pf.store.open_store(home.status().store), pf.sources.source_of(FLAGS).read())
    with publisher(home, shelf, source=None) as one:
        one.publish()
    assert "rolling" in json.loads(shelf.read_bytes())["definitions"][0]["text"]


def test_evidence_is_not_published(home, shelf):
    """What changes with every batch stays in the store: a snapshot is small, and another one only where something else is served."""
    home.rollouts.start("rolling")
    with publisher(home, shelf) as one:
        record = one.publish().documents["rollout/rolling"].body
    assert (record["evidence"], record["window"], record["samples"], record["looker"]) == (None, None, {}, "")
    assert record["plan"]["stages"]


class Text(Afar):
    """What would lie at an address, without an address."""

    def __init__(self, text: bytes) -> None:
        super().__init__("text", "text.json", every=3600.0, timeout=PATIENCE, key=None)
        self.text = text

    def _get(self, suffix, until, tag=""):
        return Answer(self.text, "")


def test_it_is_a_source_like_others():
    assert isinstance(Text(b"{}"), Source)


killed = st.none() | st.builds(Killed, st.text(max_size=5), st.none() | st.text(max_size=5), st.floats(0, 1e9))
lives = st.builds(
    Live,
    st.just(""),
    share=st.none() | st.integers(0, 1_000_000),
    killed=killed,
    counting=st.booleans(),
    run=st.integers(0, 3),
    variant=st.sampled_from([None, "on", "off", "b", "gone"]),
)
percents = st.sampled_from([0, 0.5, 20, 50, 99.9, 100])
condition = st.sampled_from(['plan == "pro"', "age > 30", 'plan in ["pro", "team"] and not (age < 18)'])
rules = st.lists(st.builds(dict, when=condition, percent=percents), max_size=2)
rollout = st.just({"stages": STAGES})
booleans = st.one_of(
    st.builds(dict, percent=percents),
    st.builds(dict, rules=rules),
    st.builds(dict, rollout=rollout, rules=rules),
    st.builds(dict, requires=st.just([{"flag": "f0", "is": "on"}]), percent=percents),
    st.builds(dict, holdout=st.just("q"), percent=percents),
)
variants = st.builds(
    dict,
    variants=st.just({"a": "A", "b": "B"}),
    default=st.sampled_from("ab"),
    split=st.fixed_dictionaries({"a": st.integers(1, 3), "b": st.integers(1, 3)}),
)
KEYS = [f"f{n}" for n in range(4)]
files = st.tuples(st.builds(dict, percent=percents), *(booleans | variants for _ in KEYS[1:]))
people = st.builds(
    pf.Context,
    st.none() | st.integers(0, 10_000).map(str),
    st.fixed_dictionaries({}, optional={"plan": st.sampled_from(["pro", "free"]), "age": st.integers(1, 99)}),
)


@settings(max_examples=150)
@given(files, st.tuples(*[st.none() | lives] * len(KEYS)), killed, st.lists(people, min_size=1, max_size=20))
def test_whoever_follows_a_snapshot_answers_as_a_process_at_the_store(flags, live, panic, who):
    """Values, variants, reasons, revisions and errors, for any definitions, live state and context."""
    store = MemoryStore()
    file = {"holdouts": {"q": {"percent": 20}}, "flags": dict(zip(KEYS, flags, strict=True))}
    writes = {f"flag/{key}": one.body() for key, one in zip(KEYS, live, strict=True) if one is not None}
    writes |= {"panic": Live(EVERYTHING, killed=panic).body()} if panic is not None else {}
    for key, body in writes.items():
        store.commit(Commit({key: body}))
    made = Publisher(file, store=store, to="nowhere")._made(0.0, force=True)

    with pf.connect(file, store=store, poll=None) as near, pf.connect(Text(made.text()), poll=None) as far:
        assert [near.evaluate(key, None, one) for key in KEYS for one in who] == [
            far.evaluate(key, None, one) for key in KEYS for one in who
        ]
        assert near.status().panicking == far.status().panicking == (panic is not None)
        assert near.status().revision == far.status().revision


def test_a_rollout_is_read_as_at_the_store(home, shelf, site):
    """Its state, stage, percent, plan and who did it; what was gathered stays at the store."""
    home.rollouts.start("rolling", by="ann")
    with publisher(home, shelf) as one:
        one.publish()
    site.text = shelf.read_bytes()
    with reader(site, poll=None) as far:
        near, there = home.rollouts.status("rolling"), far.rollouts.status("rolling")
        assert (near.state, near.stage, near.percent, near.version) == (there.state, there.stage, there.percent, there.version)


# ── whoever only reads ─────────────────────────────────────────────────────


VERBS = {
    "kill": lambda flags: flags.kill("new"),
    "unkill": lambda flags: flags.unkill("new"),
    "panic": lambda flags: flags.panic(),
    "unpanic": lambda flags: flags.unpanic(),
    "start": lambda flags: flags.rollouts.start("rolling"),
    "pause": lambda flags: flags.rollouts.pause("rolling"),
    "rollback": lambda flags: flags.rollouts.rollback("rolling"),
    "notify": lambda flags: flags.rollouts.notify(Webhook("https://host.example/")),
    "changes": lambda flags: flags.changes(),
    "explain": lambda flags: flags.explain("new", "u", at=1.0),
}


@pytest.mark.parametrize("verb", VERBS)
def test_what_would_have_to_be_written_is_refused_and_says_where_to_do_it(site, verb):
    """Nothing changes, nothing waits to be stored, and the process is as well as before."""
    site.text = snapshot(3, new=WELL)
    with reader(site) as far:
        with pytest.raises(ReadOnlyError, match="do it where the store is"):
            VERBS[verb](far)
        assert far.is_enabled("new", "u")
        status = far.status()
        assert (status.state, status.pending, status.writable) == ("READY", (), False)
        assert "published snapshot" in status.write_problem


def test_a_store_of_its_own_is_written_to_all_the_same(site, tmp_path):
    """Who names a store has definitions from afar, and live state from there."""
    site.text = snapshot(3, new=KILLED)
    site.readers.append(HttpSource(site.url, every=0.05, timeout=PATIENCE))
    with pf.connect(site.readers[-1], store=f"sqlite:///{tmp_path}/own.db", poll=None) as flags:
        assert flags.is_enabled("new", "u")
        flags.kill("new")
        assert not flags.is_enabled("new", "u")
        assert flags.status().writable


def test_the_brake_of_a_process_that_only_reads_works_at_once(home, shelf, site, caplog):
    """In the very call that is one too many; nothing is written, or tried to be, and the fleet's own rollback lets go of it."""
    home.rollouts.start("rolling")
    with following(home, shelf, site), reader(site) as far:
        until(lambda: far.is_enabled("rolling", PEOPLE[0]) or any(far.is_enabled("rolling", who) for who in PEOPLE))
        served = 0
        for who in PEOPLE * 5:
            arm = "candidate" if far.is_enabled("rolling", who) else "control"
            served += arm == "candidate"
            far.metrics.record("rolling", arm=arm, seconds=0.01, error=arm == "candidate")
        assert served == 20
        assert "rolling: rollback" in far.status().pending[0]
        far.rollouts.tick()
        assert "ReadOnlyError" not in caplog.text
        assert home.rollouts.status("rolling").percent == 50
        home.rollouts.rollback("rolling")
        until(lambda: not far.status().pending)
        assert not any(far.is_enabled("rolling", who) for who in PEOPLE)


def test_without_the_server_the_folder_serves_definitions_and_live_state(site, tmp_path):
    """A process that starts while it is away; and it follows by itself once the server is back."""
    site.text = snapshot(3, new=KILLED)
    keep = tmp_path / "kept"
    with pf.connect(HttpSource(site.url, timeout=PATIENCE), poll=None, last_known_good=keep) as far:
        assert not far.is_enabled("new", "u")
    site.answer = lambda handler: site.plain(handler, b"away", 503)
    site.readers.append(HttpSource(site.url, every=0.05, timeout=PATIENCE))
    with pf.connect(site.readers[-1], poll=0.02, last_known_good=keep) as far:
        assert far.status().state == "STALE"
        assert not far.is_enabled("new", "u")
        with pytest.raises(ReadOnlyError):
            far.unkill("new")
        site.text, site.answer = snapshot(4, new=WELL), None
        until(lambda: far.is_enabled("new", "u"))
        until(lambda: far.status().state == "READY")


# ── what never serves ──────────────────────────────────────────────────────


def test_an_older_snapshot_never_replaces_a_newer_one(site, caplog):
    """A cache on the way that answers with what it has: STALE, said once; and well again with the next."""
    site.text = snapshot(7, new=KILLED)
    with reader(site) as far:
        site.text = snapshot(6, at=2.0, new=WELL)
        until(lambda: far.status().state == "STALE")
        asked = len(site.asked)
        until(lambda: len(site.asked) > asked + 3)
        assert not far.is_enabled("new", "u")
        assert "is older (revision 6) than what serves (revision 7)" in far.status().problems[0].message
        site.text = snapshot(7, at=0.5, new=WELL)
        asked = len(site.asked)
        until(lambda: len(site.asked) > asked + 3)
        assert not far.is_enabled("new", "u")
        site.text = snapshot(8, new=WELL)
        until(lambda: far.is_enabled("new", "u"))
        until(lambda: far.status().state == "READY")
    assert len([line for line in caplog.records if "is older" in line.getMessage()]) == 1


def test_nor_in_a_process_that_starts_later(site, tmp_path, caplog):
    """With a folder: STALE with what was served before, said once; well with a newer one, or one that was published on purpose."""

    def far(poll):
        site.readers.append(HttpSource(site.url, every=0.05, timeout=PATIENCE))
        return pf.connect(site.readers[-1], poll=poll, last_known_good=tmp_path)

    site.text = snapshot(7, new=KILLED)
    far(None).close()
    site.text = snapshot(6, at=2.0, new=WELL)
    with far(0.02) as late:
        asked = len(site.asked)
        until(lambda: len(site.asked) > asked + 3)
        assert late.status().state == "STALE"
        assert not late.is_enabled("new", "u")
        (problem,) = late.status().problems
        assert "is older (revision 6) than what was served here before (revision 7)" in problem.message
        assert "published with --force" in problem.message
        site.text = snapshot(3, era=1, new=WELL)
        until(lambda: late.is_enabled("new", "u"))
        until(lambda: late.status().state == "READY")
    said = [line.getMessage() for line in caplog.records if "is older" in line.getMessage()]
    assert sorted(line.partition(":")[0] for line in said) == ["source", "store"], "once of the definitions, once of the live state"
    site.text = snapshot(8, new=KILLED)
    with far(None) as later:
        assert later.status().state == "STALE"
        assert later.is_enabled("new", "u")
    for mark in tmp_path.glob("snapshot-*.json"):
        mark.write_text("torn")
    with far(None) as anew:
        assert anew.status().state == "READY"


def test_another_store_published_on_purpose_takes_over(site):
    """Its revisions begin anew: kills that it does not have are gone, and later ones arrive."""
    site.text = snapshot(7, new=KILLED, rolling=Live("rolling", share=500_000, counting=True, run=1))
    with reader(site) as far:
        assert not far.is_enabled("new", "u")
        site.text = snapshot(2, at=2.0, era=1, new=WELL)
        until(lambda: far.is_enabled("new", "u"))
        assert not any(far.is_enabled("rolling", who) for who in PEOPLE)
        site.text = snapshot(3, at=3.0, era=1, new=KILLED)
        until(lambda: not far.is_enabled("new", "u"))
        until(lambda: far.status().state == "READY" and not far.status().pending)


BAD = {
    "half": (lambda text: text[: len(text) // 2], "that can't be read"),
    "no body": (lambda text: text.replace(b'"live":{', b'"live":{"flag/x":{"revision":1},'), "it is damaged"),
    "newer version": (lambda text: text.replace(b'"v":1', b'"v":2', 1), "update progflags"),
    "page": (lambda text: b"<!doctype html><title>Sign on</title>", "a page for people"),
    "flag file": (lambda text: json.dumps(FLAGS).encode(), "is a flag file"),
}


@pytest.mark.parametrize("how", BAD)
def test_what_is_no_good_snapshot_leaves_the_last_one(site, how):
    """Definitions and live state of the one that was whole."""
    spoil, said = BAD[how]
    site.text = snapshot(7, new=KILLED)
    with reader(site) as far:
        site.text = spoil(snapshot(8, new=WELL))
        until(lambda: far.status().state == "STALE")
        assert not far.is_enabled("new", "u")
        assert said in far.status().problems[0].message
        site.text = snapshot(9, new=WELL)
        until(lambda: far.is_enabled("new", "u") and far.status().state == "READY")


def test_a_flag_file_that_becomes_a_snapshot_is_not_half_believed(site):
    """Its live state would have nowhere to go."""
    site.text = json.dumps(FLAGS).encode()
    with reader(site) as flags:
        site.text = snapshot(7, new=KILLED)
        until(lambda: flags.status().state == "STALE")
        assert "connect again" in flags.status().problems[0].message
        flags.kill("new")  # its own, in memory


def test_a_publisher_that_has_gone_silent_is_noticed(site, monkeypatch):
    """Nothing new for three of the beats that were promised: a rollback would not come either."""
    site.text = snapshot(7, beat=0.05, new=WELL)
    with reader(site) as far:
        until(lambda: far.status().state == "STALE")
        assert "see that `progflags publish --follow` runs" in far.status().problems[0].hint
        site.text = snapshot(7, at=2.0, beat=60.0, new=WELL)
        until(lambda: far.status().state == "READY")


# ── signatures ─────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def keys():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    private = Ed25519PrivateKey.generate()
    return (
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def test_a_signed_snapshot_is_one_document(home, shelf, site, keys):
    """The signature is inside, so that there is no moment in which two that belong together are of different versions."""
    with following(home, shelf, site, key=keys[0]), reader(site, key=keys[1]) as far:
        assert far.is_enabled("new", "u")
        home.kill("new")
        until(lambda: not far.is_enabled("new", "u"))
        until(lambda: far.status().state == "READY")
        assert not [path for path, _ in site.asked if path.endswith(".sig")]
    assert [file.name for file in shelf.parent.iterdir()] == ["snapshot.json"]


FORGED = {
    "unsigned": lambda text, signed: text,
    "another text": lambda text, signed: text[:-1] + signed[signed.rindex(b',"signature"') :],
    "more behind it": lambda text, signed: signed[:-1] + b',"live":{}}',
    "more before it": lambda text, signed: signed.replace(b'"definitions"', b'"live":{},"definitions"', 1),
}


@pytest.mark.parametrize("how", FORGED)
def test_what_somebody_else_wrote_is_refused(site, keys, how):
    """Whatever part of it is theirs."""
    from progflags.contrib._signature import private_key, sealed

    first = sealed(snapshot(7, new=KILLED), private_key(keys[0]))
    site.answer = lambda handler: site.plain(handler, None, 404 if handler.path.endswith(".sig") else 200)
    site.text = first
    with reader(site, key=keys[1]) as far:
        assert not far.is_enabled("new", "u")
        site.text = FORGED[how](snapshot(8, new=WELL), first)
        until(lambda: far.status().state == "STALE")
        assert not far.is_enabled("new", "u")


def test_a_key_that_can_not_sign_is_refused(home, shelf, keys):
    with pytest.raises(ValueError, match="Ed25519 private key in PEM"):
        Publisher(FLAGS, store="memory://", to=shelf, key=keys[1])


# ── publishing ─────────────────────────────────────────────────────────────


def test_what_lies_there_is_replaced_whole_or_not_at_all(home, shelf, monkeypatch):
    """A disk that is full leaves what was there, and nothing beside it."""
    with publisher(home, shelf) as one:
        one.publish()
        before = shelf.read_bytes()
        home.kill("new")
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(PublishError, match=r"can't be written: No space left on device; what was there is there still"):
            one.publish()
    assert shelf.read_bytes() == before
    assert [file.name for file in shelf.parent.iterdir()] == ["snapshot.json"]


def test_a_web_server_may_read_it(home, shelf):
    with publisher(home, shelf) as one:
        one.publish()
    assert shelf.stat().st_mode & 0o777 == 0o644


def test_another_stores_newer_snapshot_is_not_replaced_by_accident(home, shelf):
    """`force` says that it is meant, and those who follow are told so."""
    shelf.parent.mkdir()
    shelf.write_bytes(snapshot(1_000))
    with publisher(home, shelf) as one:
        with pytest.raises(PublishError, match="is it another store's"):
            one.publish()
        assert one.publish(force=True).era == 1
        assert one.publish().era == 1


def test_another_document_is_not_replaced_by_accident(home, shelf):
    shelf.parent.mkdir()
    shelf.write_text('{"flags": {}}')
    with publisher(home, shelf) as one:
        with pytest.raises(PublishError, match="is no snapshot"):
            one.publish()
        one.publish(force=True)
    assert _snapshot.is_snapshot(shelf.read_bytes())


def test_definitions_with_a_mistake_are_not_published(home, shelf):
    bad = {"flags": {"new": {"percent": 300}}}
    with publisher(home, shelf, source=bad) as one, pytest.raises(DefinitionError, match="percent"):
        one.publish()
    assert not shelf.exists()


def test_a_kill_goes_out_while_the_file_has_a_mistake(home, shelf, site, tmp_path):
    """The last good definitions are published on, and what is live as it is."""
    file = tmp_path / "flags.json"
    file.write_text(json.dumps(FLAGS))
    with following(home, shelf, site, source=file), reader(site) as far:
        file.write_text(json.dumps({"flags": {**FLAGS["flags"], "new": {"percent": 300}}}))
        home.kill("new")
        until(lambda: not far.is_enabled("new", "u"))
        home.unkill("new")
        until(lambda: far.is_enabled("new", "u"))


def test_many_changes_are_few_snapshots_and_the_last_is_there(home, shelf, site):
    """A burst of them costs the bucket one write a second, and nobody is left with any but the last."""
    told = []
    ended = threading.Event()
    with publisher(home, shelf) as one:
        thread = threading.Thread(target=one.follow, args=(ended, told.append))
        thread.start()
        until(lambda: told)
        began = time.monotonic()
        for n in range(100):
            (home.kill if n % 2 == 0 else home.unkill)("new", reason=str(n))
        home.kill("new", reason="last")
        until(lambda: b'"last"' in shelf.read_bytes())
        assert len(told) <= 3 + (time.monotonic() - began) / publish._APART
        ended.set()
        thread.join(PATIENCE)


def test_without_a_change_nothing_is_written_but_the_beat(home, shelf, monkeypatch):
    """Rollouts' batches are no change."""
    monkeypatch.setattr(publish, "_APART", 0.0)
    told = []
    ended = threading.Event()
    home.rollouts.start("rolling")
    with publisher(home, shelf) as one:
        thread = threading.Thread(target=one.follow, args=(ended, told.append))
        thread.start()
        until(lambda: told)
        for _ in range(20):
            _, found = home._store.read("rollout/rolling")
            body = dict(found["rollout/rolling"].body)
            home._store.commit(Commit({"rollout/rolling": {**body, "baked": body["baked"] + 1.0}}))
        seen = home._store.revision()
        until(lambda: one._seen[1] == seen)
        assert len(told) == 1
        ended.set()
        thread.join(PATIENCE)
    ended.clear()
    with publisher(home, shelf, beat=0.05) as one:
        thread = threading.Thread(target=one.follow, args=(ended, told.append))
        thread.start()
        until(lambda: len(told) > 4)
        ended.set()
        thread.join(PATIENCE)
    assert told[-1].at > told[-2].at


def test_a_change_that_could_not_be_put_is_put_later(home, shelf, site, monkeypatch):
    """The disk is full for a while."""
    with following(home, shelf, site):
        real = os.fsync
        tried = threading.Event()

        def full(_):
            tried.set()
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("progflags.contrib._shelf.os.fsync", full)
        with closing(pf.store.open_store(home.status().store)) as other:
            monkeypatch.setattr("progflags.contrib._shelf.os.fsync", full)
            other.commit(Commit({"flag/new": KILLED.body()}))
            assert tried.wait(PATIENCE)
        monkeypatch.setattr("progflags.contrib._shelf.os.fsync", real)
        until(lambda: json.loads(shelf.read_bytes())["live"].get("flag/new", {}).get("body", {}).get("killed"))


def test_a_store_that_went_back_is_published_as_it_is(shelf):
    """Whoever follows takes it over: nobody waits for revisions that will not come."""
    store = MemoryStore()
    for _ in range(5):
        store.commit(Commit({"flag/new": KILLED.body()}))
    one = Publisher(FLAGS, store=store, to=shelf)
    assert one.publish().order[:2] == (0, 5)
    store._memory.revision, store._memory.documents = 1, {}
    assert one.publish().order[:2] == (1, 1)


@pytest.mark.parametrize("to", ["https://host/snapshot.json", "ftp://host/"])
def test_where_nothing_can_be_put_is_refused(to):
    with pytest.raises(ValueError, match="nothing can be published there"):
        Publisher(FLAGS, store="memory://", to=to)


# ── the command ────────────────────────────────────────────────────────────


def command(*words, **how):
    return subprocess.Popen(
        [sys.executable, "-m", "progflags", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **how}
    )


def test_publish_once(home, shelf, tmp_path):
    file = tmp_path / "flags.json"
    file.write_text(json.dumps(FLAGS))
    home.kill("new", reason="bad")
    ran = command("--flags", str(file), "--store", home.status().store, "--json", "publish", f"{shelf.parent}/")
    out, err = ran.communicate(timeout=PATIENCE)
    assert ran.returncode == 0, err
    assert json.loads(out) == {"ok": True, "to": str(shelf), "revision": 1, "at": json.loads(out)["at"], "documents": 1}
    with pf.connect(Text(shelf.read_bytes()), poll=None) as far:
        assert not far.is_enabled("new", "u")


def test_publish_follow_ends_when_it_is_told_to(home, shelf, tmp_path):
    """A line for each snapshot, and exit code 0."""
    file = tmp_path / "flags.json"
    file.write_text(json.dumps(FLAGS))
    with command("--flags", str(file), "--store", home.status().store, "publish", "--follow", str(shelf)) as ran:
        assert "store revision 0" in ran.stdout.readline()
        home.kill("new")
        assert "store revision 1, 1 document of live state" in ran.stdout.readline()
        ran.send_signal(signal.SIGTERM)
        assert ran.wait(PATIENCE) == 0


def test_publish_needs_a_store(tmp_path):
    ran = command("publish", str(tmp_path), PROGFLAGS_STORE="")
    _, err = ran.communicate(timeout=PATIENCE)
    assert ran.returncode == 2
    assert "say --store URL" in err
