"""Profiles that a file defines itself: what they extend, whose they are, and what of them is refused."""

import copy
from pathlib import Path
from typing import Any

import pytest

import progflags as pf
from progflags.rollout.plan import Plan, PlanError, risk
from progflags.store import MemoryStore
from progflags.testing import ManualClock

OWN: dict[str, Any] = {
    "payments": {"extends": "high", "owners": ["payments"], "watch": "48h", "cool_down": "9h", "approval": {"before": [50]}},
    "abroad": {"extends": "payments", "alpha": 0.02, "cool_down": "1h"},
    "plain": {"cool_down": "2h"},
}


def test_what_is_not_written_comes_from_what_it_extends() -> None:
    """Along the whole chain, key by key; left out, it is standard."""
    high, abroad = Plan.of({"profile": "high"}), Plan.of({"profile": "abroad"}, rules=OWN)

    assert (abroad.watch, abroad.alpha, abroad.cool_down, abroad.holdback) == (172_800.0, 0.02, 3_600.0, high.holdback)
    assert [stage.share for stage in abroad.stages] == [stage.share for stage in high.stages]
    assert [stage.approval for stage in abroad.stages] == [False, False, False, False, True]
    assert Plan.of({"profile": "plain"}, rules=OWN).watch == Plan.of({}).watch


def test_the_name_says_where_it_comes_from() -> None:
    """And which built-in profile's stakes are meant, for whoever gives advice by them."""
    assert Plan.of({"profile": "abroad"}, rules=OWN).profile == "abroad (payments, high@2)"
    assert [risk(name) for name in ("abroad (payments, high@2)", "payments (high@2)", "low@1", "")] == ["high", "high", "low", ""]
    assert Plan.of({"profile": "old"}, rules={"old": {"extends": "low@1"}}).profile == "old (low@1)"


def test_a_flag_wins_over_its_profile_and_stages_replace_stages() -> None:
    """As over a built-in one; whoever writes stages says how much of a control is kept."""
    stages = [{"percent": 30, "bake": "1h"}]
    own = {"ours": {"extends": "standard", "stages": stages, "watch": "5h"}}

    assert Plan.of({"profile": "ours", "watch": "3h"}, rules=own).watch == 10_800.0
    assert Plan.of({"profile": "ours"}, rules=own).holdback == Plan.of({"stages": stages}).holdback == 0
    assert Plan.of({"profile": "ours"}, rules={"ours": {"extends": "standard"}}).holdback == 10_000
    assert Plan.of({"profile": "ours", "stages": stages}, rules={"ours": {"extends": "standard"}}).holdback == 0


@pytest.mark.parametrize(
    ("rules", "flag", "chosen"),
    [
        ({"a": {"owners": ["x"]}, "b": {}}, {"owner": "x"}, "a"),
        ({"a": {"owners": ["x"]}, "b": {}}, {"owner": "y"}, "standard"),
        ({"a": {"owners": "x"}}, {"owner": "x"}, "a"),
        ({"a": {"flags": ["pay-*", "team.toml"]}}, {"key": "pay-x"}, "a"),
        ({"a": {"flags": ["pay-*", "team.toml"]}}, {"file": "/srv/team.toml"}, "a"),
        ({"a": {"tags": ["t", "u"]}}, {"tags": ["u"]}, "a"),
        ({"a": {"tags": ["t"], "owners": ["x"]}}, {"tags": ["t"], "owner": "y"}, "standard"),
        ({"a": {"tags": ["t"]}, "*": "high", "b": {"owners": ["x"]}}, {"owner": "x"}, "high"),
        ({"*": "a", "a": {}}, {}, "a"),
        ({"a": {}}, {"tags": ["risk:a"]}, "a"),
        ({"a": {}, "*": "low"}, {"tags": ["risk:unheard-of"]}, "low"),
        ({"a": {}}, {"key": "a.b"}, "a"),
        ({"a": {}}, {"key": "a"}, "standard"),
        ({"a": {"owners": ["x"]}}, {"owner": "x", "data": {"profile": "low"}}, "low"),
    ],
)
def test_whose_profile_it_is(rules: Any, flag: dict[str, Any], chosen: str) -> None:
    """Named, tagged, met by the first entry that is for the flag, by its key's beginning; else standard."""
    data = flag.pop("data", {})
    assert Plan.of(data, rules=rules, **flag).profile.partition(" ")[0].partition("@")[0] == chosen


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"a": {"extends": "b"}, "b": {"extends": "a"}}, "profiles extend each other in a circle: a → b → a"),
        ({"a": {"extends": "a"}}, "profiles extend each other in a circle: a → a"),
        ({"a": {"extends": "b"}, "b": {"extends": "c"}, "c": {"extends": "b"}}, "in a circle: b → c → b"),
        ({"a": {"extends": "hgih"}}, "there is no profile 'hgih': it is one of low, standard, high, emergency, a"),
        ({"a": {"extends": "high@9"}}, "profile 'high' has no version '9'"),
        ({"x*": "b"}, "there is no profile 'a'"),
    ],
)
def test_a_chain_that_leads_nowhere_is_refused(rules: Any, message: str) -> None:
    """With the names it goes by."""
    with pytest.raises(PlanError, match=message.replace("(", r"\(")):
        Plan.of({"profile": "a"}, rules=rules)


def problems(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pf.connect(path, poll=None) as flags:
        status = flags.status()
    return [str(problem).removeprefix(f"{path}:") for problem in (*status.rejected, *status.warnings)]


def test_mistakes_are_named_in_the_profile(tmp_path: Path) -> None:
    """Where it stands, once for all the flags; those that come from it can't be started, and never come from another one meanwhile."""
    text = """\
[profiles.a]
owners = ["x"]
wacth = "4h"
[profiles.b]
stages = [{ percent = 50, bake = "1h" }, { percent = 5, bake = "1h" }]
[profiles.c]
extends = "d"
[profiles.high]
watch = "1h"
[profiles.e]
watch = 3
[flags.one]
owner = "x"
[flags.one.rollout]
"""
    assert problems(tmp_path / "flags.toml", text) == [
        "3: profiles.a.wacth: unknown key 'wacth' (did you mean 'watch'?)",
        '11: profiles.e.watch: a duration is wanted here, not 3 (write a number and a unit, as in "30s", "15m", "4h" or "1d")',
        "5: profiles.b.stages: each stage's percent is above the one before it",
        "7: profiles.c.extends: there is no profile 'd': it is one of low, standard, high, emergency, a, b, c, e",
        "8: profiles.high: 'high' is built in (give yours another name, and write extends = \"high\")",
        "14: flags.one.rollout.profile: profile 'a' is itself wrong: see its own message",
    ]


def test_a_profile_that_goes_wrong_stays_as_it_was(tmp_path: Path) -> None:
    """As a flag does; and its rollouts with it."""
    path = tmp_path / "flags.toml"
    text = '[profiles.a]\nextends = "low"\nwatch = "4h"\n[flags.one.rollout]\nprofile = "a"\n'
    path.write_text(text)
    with pf.connect(path, poll=None) as flags:
        path.write_text(text.replace("watch", "wacth"))
        flags.refresh()

        assert flags.status().state == "DEGRADED"
        assert flags.rollouts.plan("one").watch == 14_400.0


def test_files_of_a_folder_share_profiles_and_an_environment_has_its_own(tmp_path: Path) -> None:
    """One of them may be nothing but defaults, and a link to the repository's; mistakes are named in the file they are in."""
    (tmp_path / ".repository").write_text('[profiles]\n"*" = "ours"\n[profiles.ours]\nextends = "low"\nwatch = "12h"\n')
    (tmp_path / "defaults.toml").symlink_to(tmp_path / ".repository")
    (tmp_path / "shop.toml").write_text('[flags.one.rollout]\n[environments.staging.profiles.ours]\nwatch = "1h"\nextends = "lo"\n')
    with pf.connect(tmp_path, poll=None) as flags:
        assert (flags.rollouts.plan("one").profile, flags.rollouts.plan("one").watch) == ("ours (low@2)", 43_200.0)
    with pf.connect(tmp_path, environment="staging", poll=None) as flags:
        assert str(flags.status().warnings[0]).startswith(
            f"{tmp_path}/shop.toml:4: environments.staging.profiles.ours.extends: there is no"
        )


def test_a_rollout_under_way_keeps_the_plan_it_began_with() -> None:
    """Its document has every setting; what the file makes of the profile later is the next start's."""
    document = {
        "profiles": {"ours": {"extends": "low", "stages": [{"percent": 20, "bake": "1h"}]}},
        "flags": {"a": {"rollout": {"profile": "ours"}}},
    }
    store = MemoryStore("memory://profiles")
    with pf.connect(document, store=store, clock=ManualClock()) as flags:
        assert flags.rollouts.start("a").percent == 20
    later = copy.deepcopy(document)
    later["profiles"]["ours"] = {"extends": "high", "stages": [{"percent": 1, "bake": "9h"}]}
    with pf.connect(later, store=store, clock=ManualClock()) as flags:
        status = flags.rollouts.status("a")
        assert (status.profile, status.percent, status.changed) == ("ours (low@2)", 20, True)
        assert flags.rollouts.plan("a").stages[0].share == 10_000
    del later["profiles"]
    with pf.connect(later, store=store, clock=ManualClock()) as flags:
        assert flags.rollouts.status("a").profile == "ours (low@2)"


def test_the_plan_and_the_advice_go_by_the_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`rollout plan` names it; a short bake is no advice where it comes from emergency."""
    from progflags.cli import main

    path = tmp_path / "flags.toml"
    path.write_text(
        '[profiles.fire]\nextends = "emergency"\nflags = ["fix*"]\n[profiles.slow]\nextends = "high"\ndark_launch = false\n'
        '[flags.fix]\nowner = "x"\nrollout = {}\n[flags.big]\nowner = "x"\nrollout = { profile = "slow" }\n'
    )
    assert main(["--flags", str(path), "rollout", "plan", "fix"]) == 0
    assert capsys.readouterr().out.startswith("profile fire (emergency@3)\n")
    assert main(["lint", str(path)]) == 1
    said = capsys.readouterr().out
    assert "[short-bake]" not in said
    assert "flags.big.rollout" in said
    assert "[no-dark-launch]" in said
