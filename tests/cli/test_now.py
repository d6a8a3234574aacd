"""`status`, `watch` and `rollback --tag`: everything under way in a line each, and what one person can do about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import progflags as pf
from progflags.cli import main
from progflags.cli._now import Screen
from progflags.errors import StoreError
from progflags.overview import Item, Level, Now
from progflags.rollout import Rollouts
from progflags.store import Commit, open_store
from progflags.testing import ManualClock

FILE = """
schema = 1

[flags.checkout]
owner = "shop"
tags = ["payments"]
rollout = { profile = "standard" }

[flags.invoices]
owner = "books"
tags = ["payments"]
rollout = { profile = "standard" }

[flags.search]
owner = "shop"
tags = ["find"]
rollout = { profile = "standard" }

[flags.banner]
percent = 50
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A file and a store, named by the environment as an operator's shell would."""
    file = tmp_path / "flags.toml"
    file.write_text(FILE)
    monkeypatch.setenv("PROGFLAGS_FILE", str(file))
    monkeypatch.setenv("PROGFLAGS_STORE", f"sqlite:///{tmp_path / 'state.db'}")
    return file


def said(capsys, *words):
    """The exit code, and what was printed."""
    code = main(list(words))
    return code, capsys.readouterr()


def damage(flags, key):
    """Make a document in the store one that this version can't read."""
    store = open_store(os.environ["PROGFLAGS_STORE"])
    body = store.read(key)[1][key].body
    store.commit(Commit({key: {**body, "v": 99}} if key.startswith("flag/") else {key: {**body, "state": "flying"}}))
    store.close()


def state(flags):
    return {status.flag: (str(status.state), status.percent) for status in flags.rollouts.every()}


@pytest.fixture
def flags(place):
    with pf.connect(place, store=os.environ["PROGFLAGS_STORE"], poll=None, control=False) as client:
        yield client


def test_where_nothing_is_under_way_all_is_well(place, capsys):
    code, out = said(capsys, "status")

    assert code == 0
    assert out.out.startswith("✓ 4 flags of ")


def test_everything_is_a_line_with_the_worst_first(place, flags, capsys):
    flags.rollouts.start("checkout", by="ann")
    flags.rollouts.start("search", by="ann")
    flags.rollouts.pause("search", reason="lunch")
    flags.kill("banner", reason="it blinks", by="bob")
    code, out = said(capsys, "status")
    lines = out.out.splitlines()

    assert code == 1
    assert lines[0].startswith("✗ banner: killed, its safe variant serves: bob at 2")
    assert lines[0].endswith("it blinks  → progflags unkill banner")
    assert lines[1].startswith("! search: paused")
    assert lines[1].endswith("→ progflags rollout resume search")
    assert any(line.startswith("✓ checkout: ramping stage 1/") for line in lines[2:])

    flags.unkill("banner")
    assert said(capsys, "status")[0] == 3  # somebody is waited for
    flags.rollouts.resume("search")
    assert said(capsys, "status")[0] == 0


def test_panic_and_a_rollback_are_troubles(place, flags, capsys):
    flags.rollouts.start("checkout")
    flags.rollouts.rollback("checkout", reason="support is on the phone", by="ann")
    flags.panic(reason="fire", by="bob")
    code, out = said(capsys, "status", "--json")
    items = {item["kind"]: item for item in json.loads(out.out)}

    assert code == 1
    assert items["panic"]["do"] == "progflags unpanic"
    assert items["panic"]["level"] == "trouble"
    assert "bob" in items["panic"]["said"]
    assert "fire" in items["panic"]["said"]
    assert items["rollout"]["flag"] == "checkout"
    assert "support is on the phone" in items["rollout"]["said"]


def test_a_file_that_is_refused_hides_nothing_of_the_store(place, flags, capsys):
    flags.rollouts.start("checkout")
    flags.kill("banner")
    place.write_text("[flags.checkout\n")
    code, out = said(capsys, "status")

    assert code == 1
    assert "✗ refused: " in out.out
    assert "flags.toml:1" in out.out
    assert "✗ banner: killed" in out.out
    assert "✓ checkout: ramping" in out.out


def test_a_rollout_that_can_not_be_read_is_no_good_news(place, flags, capsys):
    """Its share is served all the while."""
    for flag in ("checkout", "invoices"):
        flags.rollouts.start(flag)
    damage(flags, "rollout/checkout")
    code, out = said(capsys, "status")

    assert code == 1
    assert out.out.startswith("✗ checkout: held at 1 % (StoreError: the rollout of 'checkout' in the store is damaged")
    assert out.out.splitlines()[0].endswith("→ progflags kill checkout")

    code, out = said(capsys, "rollback", "--tag", "payments")  # the other one is rolled back all the same
    assert code == 2
    assert "checkout: rolling_back at 1 % (not stored yet" in out.out
    assert "invoices: rolled_back at 0 %" in out.out
    assert "checkout: the rollback is NOT stored" in out.err
    assert said(capsys, "rollout", "rollback", "checkout")[0] == 2
    assert said(capsys, "kill", "checkout")[0] == 0
    assert said(capsys, "status")[0] == 1


def test_live_state_that_can_not_be_read_is_no_good_news(place, flags, capsys):
    flags.rollouts.start("checkout")
    damage(flags, "flag/checkout")
    code, out = said(capsys, "status")

    assert code == 1
    assert "✗ live state of checkout: can't be read" in out.out


def test_one_that_is_refused_keeps_no_other_from_being_rolled_back(place, flags, capsys, monkeypatch):
    for flag in ("checkout", "invoices"):
        flags.rollouts.start(flag)
    rollback = Rollouts.rollback

    def refusing(self, flag, **options):
        if flag == "checkout":
            raise pf.TransitionRefused("not now")
        return rollback(self, flag, **options)

    monkeypatch.setattr(Rollouts, "rollback", refusing)
    code, out = said(capsys, "rollback", "--tag", "payments")

    assert code == 2
    assert out.out == "invoices: rolled_back at 0 %\n"
    assert out.err == "progflags: checkout: not now\n"


def test_watching_goes_on_while_the_store_is_away(place, flags, monkeypatch, capsys):
    flags.kill("banner", by="ann")
    looked = []

    def away(self):
        looked.append(1)
        if len(looked) in (2, 3):
            raise StoreError("gone for a moment")
        if len(looked) == 5:
            raise KeyboardInterrupt
        return every(self)

    every = Rollouts.every
    monkeypatch.setattr(Rollouts, "every", away)
    code, out = said(capsys, "watch", "--every", "0.001")
    lines = [line[9:] for line in out.out.splitlines()]

    assert code == 130
    assert [line[:20] for line in lines] == [
        "✗ banner: killed, it",
        "✓ 4 flags of " + str(place)[:7],
        "✗ the store is out o",
        "– store: no more",
    ]


def test_a_store_alone_is_enough(place, flags, capsys, monkeypatch):
    flags.rollouts.start("checkout")
    monkeypatch.delenv("PROGFLAGS_FILE")
    code, out = said(capsys, "status")

    assert code == 0
    assert out.out.startswith("✓ checkout: ramping")  # and nothing of a file whose plan is another: there is none
    assert out.out.count("\n") == 1


def test_what_ended_well_is_told_for_a_day():
    with pf.connect({"flags": {"x": {"rollout": {"profile": "low"}}}}, clock=(clock := ManualClock())) as flags:
        flags.rollouts.start("x")
        flags.rollouts.abort("x", reason="changed our minds")
        assert [item.level for item in Now.of(flags).items if item.kind == "rollout"] == [Level.FINE]
        clock.advance(86_401)
        assert [item for item in Now.of(flags).items if item.kind == "rollout"] == []


def test_a_flag_is_looked_at_by_name(place, flags, capsys):
    flags.rollouts.start("checkout")
    assert said(capsys, "status", "checkout") == said(capsys, "rollout", "status", "checkout")


def test_a_screen_fits_and_counts_what_does_not():
    now = Screen(Now(tuple(Item("kill", f"flag-{n}", Level.TROUBLE, f"flag-{n}: killed " + "because " * 30) for n in range(40))))
    rows = now.screen(width=60, height=20).splitlines()

    assert len(rows) == 19
    assert max(map(len, rows)) == 60
    assert rows[-1] == "… and 24 more: progflags status"
    assert now.screen(width=60, height=43).count("flag-") == 40
    assert Screen(Now(())).screen(width=60, height=20).splitlines()[-1] == "✓ nothing is under way"


def test_watching_tells_each_change_once(place, flags):
    """Piped: a line when something comes, changes or is over, and none while nothing does."""
    watching = subprocess.Popen(
        [sys.executable, "-m", "progflags", "watch", "--every", "0.05", "--timeout", "30"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert "✓ 4 flags" in watching.stdout.readline()
        flags.kill("banner", by="ann")
        assert "✗ banner: killed" in watching.stdout.readline()
        flags.unkill("banner")
        assert "– kill banner: no more" in watching.stdout.readline()
        flags.rollouts.start("checkout")
        assert "✓ checkout: ramping" in watching.stdout.readline()
    finally:
        watching.kill()
        watching.communicate()


def test_every_flag_with_a_tag_is_rolled_back_and_no_other(place, flags, capsys):
    for flag in ("checkout", "invoices", "search"):
        flags.rollouts.start(flag)
    code, out = said(capsys, "rollback", "--tag", "payments", "--reason", "alert 7", "--by", "pager")

    assert code == 0
    assert out.out.splitlines() == ["checkout: rolled_back at 0 % (alert 7)", "invoices: rolled_back at 0 % (alert 7)"]
    assert state(flags) == {"checkout": ("rolled_back", 0), "invoices": ("rolled_back", 0), "search": ("ramping", 1)}
    assert flags.rollouts.history("checkout")[-1].actor == "pager"

    steps = len(flags.rollouts.history("checkout"))
    code, out = said(capsys, "rollback", "--tag", "payments")
    assert (code, out.out) == (0, "none of them is being rolled out: nothing is changed\n")
    assert len(flags.rollouts.history("checkout")) == steps


def test_tag_and_owner_both_have_to_fit(place, flags, capsys):
    for flag in ("checkout", "invoices", "search"):
        flags.rollouts.start(flag)
    code, out = said(capsys, "rollback", "--tag", "payments", "--owner", "shop", "--json")

    assert code == 0
    assert [status["flag"] for status in json.loads(out.out)] == ["checkout"]
    assert [state(flags)[flag][0] for flag in ("invoices", "search")] == ["ramping", "ramping"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["rollback"], "name a FLAG, a --tag or an --owner"),
        (["rollback", "--tag", "payment"], "no flag has the tag 'payment': did you mean 'payments'?"),
        (["rollback", "--owner", "nobody"], "no flag has the owner 'nobody'"),
        (["rollback", "chekout"], "did you mean 'checkout'?"),
    ],
)
def test_what_can_not_be_meant_is_refused(place, capsys, words, why):
    code, out = said(capsys, *words)

    assert code == 2
    assert why in out.err


@pytest.mark.parametrize(
    ("line", "wanted"), [("progflags rol", "rollout"), ("progflags kill ba", "banner"), ("progflags rollout start ch", "checkout")]
)
def test_a_shell_completes_commands_and_flags(place, tmp_path, line, wanted):
    """What the code that `completion` prints makes the shell do."""
    found = tmp_path / "found"
    environment = {**os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
    environment["_ARGCOMPLETE_STDOUT_FILENAME"] = str(found)
    subprocess.run([sys.executable, "-m", "progflags"], env=environment, check=False, timeout=120)

    assert wanted in [word.strip() for word in found.read_text().split("\n")]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_code_for_a_shell_names_the_program(shell, capsys):
    code, out = said(capsys, "completion", shell)

    assert code == 0
    assert "progflags" in out.out
