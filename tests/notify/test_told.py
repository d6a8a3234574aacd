"""What people are told: the whole way from a verb or a verdict to what a local server receives."""

from __future__ import annotations

from uuid import uuid4

import pytest

import progflags as pf
from progflags.notify import Only, Severity
from progflags.testing import ManualClock
from support.patience import until

from .kept import Kept
from .receiver import receiver

GATE = {"metric": "error_rate", "max": 0.2, "policy": "no_alarm"}
STAGES = [{"percent": 10, "bake": "60s", "min_samples": 20, "gates": [GATE]}]
ROLLOUT = {"stages": STAGES, "watch": "120s", "deadline": "1h", "batch": "5s", "brake": False}
FLAGS = {
    "new-checkout": {"owner": "payments", "tags": ["pay"], "rollout": ROLLOUT},
    "new-search": {"owner": "search", "rollout": ROLLOUT},
    "new-login": {"rollout": {**ROLLOUT, "approval": {"before": [100]}}},
    "banner": {"percent": 100},
}


class Team:
    """A client without threads, a clock that moves when told to, and a channel."""

    def __init__(self, **options):
        self.channel = Kept(**options)
        self.clock = ManualClock(wall=1_800_000_000.0)
        self.flags = pf.connect({"flags": FLAGS}, clock=self.clock, notify=[self.channel])

    def run(self, seconds, *, candidate=0, flag="new-checkout"):
        """Time passes in steps of five seconds, with fifty calls on each arm of `flag` in each."""
        for _ in range(seconds // 5):
            for arm, bad in (("control", 0), ("candidate", candidate)):
                self.flags.metrics.record(flag, arm=arm, seconds=0.1, error=False, n=50 - bad)
                if bad:
                    self.flags.metrics.record(flag, arm=arm, seconds=0.1, error=True, n=bad)
            self.clock.advance(5)
            self.flags.rollouts.tick()
            self.flags.rollouts.deliver()

    def told(self):
        """What came since it was last asked, after a while of silence."""
        self.clock.advance(11)
        self.flags.rollouts.deliver()
        messages = list(self.channel.messages)
        self.channel.messages.clear()
        return messages


@pytest.fixture
def team():
    with_flags = Team()
    yield with_flags
    with_flags.flags.close()


def test_a_kill_and_its_end_are_told_to_the_same_people(team):
    """With who and why, what to do, and the same gravity."""
    team.flags.kill("banner", reason="it blinks", by="ann")
    (kill,) = team.told()
    team.flags.unkill("banner", by="bob")
    (unkill,) = team.told()

    assert (kill.flag, kill.kind, kill.severity, kill.title) == (
        "banner",
        "kill",
        "critical",
        "banner was killed by ann: its safe variant serves",
    )
    assert "it blinks" in kill.said[0]
    assert kill.do == "progflags unkill banner"
    assert (unkill.kind, unkill.severity, unkill.thread) == ("unkill", "critical", kill.thread)


def test_a_panic_is_told_to_every_channel():
    """Whatever flags it asks for: the panic is about those as well."""
    team = Team(only=Only(flags="nothing-*", owners="nobody"))
    team.flags.panic(reason="everything burns", by="ann")
    (panic,) = team.told()
    team.flags.close()

    assert (panic.kind, panic.flag, panic.severity) == ("panic", "", "critical")


def test_a_rollout_is_told_by_its_stages_not_by_its_samples(team):
    """Started, everybody has it, completed; not that it bakes or is judged."""
    team.flags.rollouts.start("new-checkout", by="ann")
    started = team.told()
    team.run(600)
    rest = team.told()

    assert [message.title for message in started] == ["new-checkout goes to 10 %"]
    steps = [line["to"] for message in (*started, *rest) for line in message.changes]
    assert "baking" not in steps
    assert {"ramping", "watching", "completed"} <= set(steps)
    assert {message.severity for message in (*started, *rest)} == {Severity.INFO}
    assert {message.thread for message in (*started, *rest)} == {"rollout/new-checkout/1"}


def test_a_rollback_goes_at_once_though_something_was_said_a_moment_ago(team):
    """It is graver than what was told last; why it was rolled back is in it."""
    team.flags.rollouts.start("new-checkout")
    team.flags.rollouts.deliver()
    before = len(team.channel.messages)
    team.run(5, candidate=40)

    rollback = team.channel.messages[before]
    assert rollback.severity == "critical"
    assert rollback.title.startswith("new-checkout was rolled back")
    assert "error_rate" in " ".join(rollback.said)
    assert "progflags report new-checkout" in rollback.do


def test_a_held_rollout_says_what_would_unblock_it(team):
    """What its gates wait for, and which verbs there are."""
    team.flags.rollouts.start("new-search")
    team.told()
    for arm in ("control", "candidate"):
        team.flags.metrics.record("new-search", arm=arm, seconds=0.1, error=False, n=5)
    for _ in range(70):
        team.clock.advance(60)
        team.flags.rollouts.tick()
    messages = team.told()

    assert team.flags.rollouts.status("new-search").state == "held"
    held = messages[-1]
    assert (held.severity, held.title) == ("warning", "new-search is held at 10 %")
    assert "nothing was recorded on one of the arms lately" in held.said[1]
    assert "resume" in held.do
    assert "rollback" in held.do


def test_an_approval_that_is_wanted_says_where_to_give_it():
    """By the console, where its address is known, and by a command."""
    team = Team(console_url="https://flags.example.com/")
    team.flags.rollouts.start("new-login")
    team.run(100, flag="new-login")
    wanted = team.told()[-1]
    team.flags.close()

    assert (wanted.severity, wanted.title) == ("warning", "new-login at 10 % waits for an approval")
    assert wanted.do == "progflags rollout approve new-login"
    assert wanted.link == "https://flags.example.com/rollout?flag=new-login"


def test_a_storm_of_one_flag_is_one_message(team):
    """The first word goes at once; the rest is gathered."""
    for turn in range(20):
        (team.flags.unkill if turn % 2 else team.flags.kill)("banner", by="ann")
        team.flags.rollouts.deliver()
    first = list(team.channel.messages)
    team.channel.messages.clear()
    rest = team.told()

    assert len(first) == 1
    assert len(rest) == 1
    assert len(first[0].changes) + len(rest[0].changes) == 20
    assert "earlier" in rest[0].said[0]


def test_two_flags_are_two_messages_in_the_order_in_which_they_happened(team):
    """One message for each, however they are mixed."""
    team.flags.kill("banner", by="ann")
    team.flags.kill("new-search", by="ann")
    team.flags.unkill("banner", by="ann")

    assert [message.flag for message in team.told()] == ["banner", "new-search"]


@pytest.mark.parametrize(
    ("only", "flags"),
    [
        (Only(), set(FLAGS)),
        (Only(flags="new-*"), {"new-checkout", "new-search", "new-login"}),
        (Only(owners=["payments"]), {"new-checkout"}),
        (Only(tags=["web", "pay"]), {"new-checkout"}),
        (Only(flags=["new-*"], owners=["search"]), {"new-search"}),
    ],
    ids=["all", "pattern", "owner", "tags", "pattern and owner"],
)
def test_a_channel_hears_of_its_flags_alone(only, flags):
    """By pattern, owner, tag; where several are said, all of them."""
    team = Team(only=only)
    for flag in FLAGS:
        team.flags.kill(flag)
    told = {message.flag for message in team.told()}
    team.flags.close()

    assert told == flags


def test_a_channel_for_what_is_critical_is_not_told_of_a_start():
    """Nor does the start come along with what is."""
    team = Team(only=Only(severity="critical"))
    team.flags.rollouts.start("new-checkout")
    assert team.told() == []
    team.flags.rollouts.rollback("new-checkout", reason="no", by="ann")
    (rollback,) = team.told()
    team.flags.close()

    assert [line["to"] for line in rollback.changes] == ["rolling_back", "rolled_back"]


def test_what_happened_before_a_channel_was_there_is_not_told_it():
    """And what happens right after connecting is."""
    store = f"memory://told-from-when-{uuid4().hex}"
    with pf.connect({"flags": FLAGS}, store=store, poll=None) as flags:
        flags.kill("banner", reason="before")
    channel = Kept()
    with pf.connect({"flags": FLAGS}, store=store, poll=None, notify=[channel]) as flags:
        flags.unkill("banner", reason="after")
        flags.rollouts.deliver()

    assert [message.kind for message in channel.messages] == ["unkill"]


def test_what_nobody_could_be_told_for_a_day_is_news_no_more(team):
    """It is counted instead."""
    team.flags.kill("banner")
    team.clock.advance(2 * 86_400)
    team.flags.rollouts.deliver()

    assert team.channel.messages == []
    assert "1 dropped" in team.flags.rollouts.health()["sink notify/kept"]


def test_a_bad_release_is_told_within_two_seconds(tmp_path):
    """From the first failing call to Slack's form at a server, with the threads that an application has."""
    with receiver() as slack:
        file = tmp_path / "flags.toml"
        file.write_text(f"""
[notify.ops]
slack = "{slack.url}/services/T0/B0/x"
console_url = "https://flags.example.com"

[flags.new-checkout.rollout]
batch = "1s"
stages = [{{ percent = 50, bake = "60s", min_samples = 20, gates = [{{ metric = "error_rate", max = 0.01 }}] }}]
""")
        with pf.connect(file, store=f"sqlite:///{tmp_path}/state.db") as flags:
            flags.rollouts.start("new-checkout")
            until(lambda: slack.seen)
            assert flags.status().threads["sink notify/ops"] == "running"

            @pf.progressive("new-checkout", candidate=lambda: 1 / 0, flags=flags)
            def checkout():
                return "ok"

            until(lambda: _call(checkout, flags) and any("rolled back" in body for _, _, body, _ in slack.seen))

    assert slack.documents[-1]["blocks"][0]["text"]["text"].startswith("✗ new-checkout was rolled back")


def _call(checkout, flags):
    for n in range(20):
        with pf.bind(pf.Context(f"user-{n}")):
            try:
                checkout()
            except ZeroDivisionError:
                pass
    return True
