"""lint, test, codegen and diff: the tools around a flag file."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from progflags.cli import _codegen, _diff, _flagtests, _lint, main
from progflags.errors import DefinitionError, ProgflagsError


def run(module: ModuleType, *words: str, as_json: bool = False) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    module.add_parser(commands)
    arguments = parser.parse_args(words, argparse.Namespace(json=as_json, flags=None, store=None, environment=None))
    return int(arguments.run(arguments))


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str, name: str = "flags.toml") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


# ── lint ───────────────────────────────────────────────────────────────────

UNTIDY = """
[context]
plan = "str"
app = "semver"
[flags.old]
expires = 2020-01-01
percent = 5
owner = "x"
[flags.done]
owner = "x"
percent = 100
[flags.orphan]
percent = 5
[flags.shared]
owner = "x"
salt = "old"
percent = 1
[flags.rules]
owner = "x"
variants = { a = "a", b = "b", c = "c" }
default = "a"
[[flags.rules.rules]]
when = 'plan == 3'
serve = "b"
[[flags.rules.rules]]
when = 'plan == 3'
serve = "a"
[[flags.rules.rules]]
when = 'beta and app >= semver("1.0.0")'
percent = 0
serve = "b"
[[flags.rules.rules]]
serve = "a"
[[flags.rules.rules]]
split = { b = 1, a = 0 }
[flags.trial]
owner = "x"
kind = "experiment"
split = { on = 1, off = 1 }
[flags.steps]
owner = "x"
[[flags.steps.rollout.stages]]
percent = 1
bake = "1m"
"""


def test_lint_finds_what_is_untidy(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with file, line, key and the rule's name; exit 1. Nobody knows how long `done` has been at 100 %: it may be new."""
    file = write(UNTIDY)
    assert run(_lint, "lint", file, as_json=True) == 1
    found = {(problem["rule"], problem["key"]): problem["line"] for problem in told(capsys)["problems"]}

    wanted = {
        ("expired", "flags.old.expires"): 6,
        ("no-owner", "flags.orphan"): 12,
        ("shared-salt", "flags.shared.salt"): 16,
        ("type", "flags.rules.rules[0].when"): 23,
        ("unreachable", "flags.rules.rules[1]"): 25,
        ("undeclared-attribute", "flags.rules.rules[2].when"): 29,
        ("nobody", "flags.rules.rules[2]"): 28,
        ("unreachable", "flags.rules.rules[4]"): 34,
        ("unserved", "flags.rules.variants.c"): 20,
        ("no-expiry", "flags.trial"): 36,
        ("short-bake", "flags.steps.rollout.stages[0].bake"): 44,
        ("no-gate", "flags.steps.rollout.stages[0]"): 42,
    }
    assert not any(rule == "finished" for rule, _ in found)
    assert wanted.items() <= found.items(), {key: found.get(key) for key, line in wanted.items() if found.get(key) != line}


def test_lint_finds_segments_that_no_flag_asks_for(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One used through another is used; one that only an unused one uses is not; a rejected flag might use any."""
    segments = """
[segments.staff]
when = 'email endswith "@example.com"'
[segments.inner]
when = 'country == "PL"'
[segments.outer]
when = 'not (segment("inner") and beta)'
[segments.lonely]
when = 'segment("lost") or segment("staff")'
[segments.lost]
when = 'plan == "free"'
"""
    flag = """
[flags.a]
owner = "x"
rules = [{ when = 'segment("staff") or (beta and segment("outer"))', percent = 10 }]
"""
    assert run(_lint, "lint", write(segments + flag), as_json=True) == 1
    found = [(problem["rule"], problem["key"], problem["line"]) for problem in told(capsys)["problems"]]
    assert found == [("unused-segment", "segments.lonely", 8), ("unused-segment", "segments.lost", 10)]

    assert run(_lint, "lint", write(segments + flag + "[flags.b]\npercnt = 3\n"), as_json=True) == 2
    assert {problem["rule"] for problem in told(capsys)["problems"]} == {"invalid"}


def test_a_tidy_file_has_nothing_to_say(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0."""
    assert run(_lint, "lint", write('[flags.a]\nowner = "x"\npercent = 5\n')) == 0
    assert "nothing to tidy up" in capsys.readouterr().out


CODE = """
import progflags as pf
CART = pf.Flag("cart", default=False)
def view(flags, settings):
    settings.get("not-a-flag")
    flags.is_enabled("serach")
    flags.get("limits", 3)
    flags.get("forgoten", 3)
    self.flags.evaluate(key="gone")
@pf.dark_launch("pricing", candidate=None)
def price(): ...
NAMES = ["by-name"]
"""


def test_lint_compares_the_code_with_the_file(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for and not there; there and never asked for; a dict's get is no flag."""
    flags = 'retired = ["gone"]\n' + "".join(
        f'[flags.{key}]\nowner = "x"\n' for key in ("cart", "limits", "pricing", "by-name", "forgotten")
    )
    code = write(CODE, "app/views.py")
    write("this is no python", "app/broken.py")
    assert run(_lint, "lint", write(flags), "--code", str(Path(code).parent)) == 1
    out = capsys.readouterr().out.splitlines()

    assert out == [
        f"{code}:6: serach: the code asks for a flag that is in no flag file [undeclared]",
        f"{code}:8: forgoten: the code asks for a flag that is in no flag file (did you mean 'forgotten'?) [undeclared]",
        f"{code}:9: gone: the code asks for a flag that was retired [undeclared]",
        f"{out[3].split(':')[0]}:10: flags.forgotten: no code asks for this flag: take it out, and name it in `retired` [unused]",
    ]


def test_lint_knows_from_git_how_long_a_flag_is_done(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Fresh at 100 % is fine; for N days it is finished."""
    file = write('[flags.done]\nowner = "x"\npercent = 100\n')
    folder = str(Path(file).parent)
    git = ["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    assert run(_lint, "lint", file) == 0
    assert run(_lint, "lint", file, "--days", "0") == 1
    assert "everybody has had it for 0 days" in capsys.readouterr().out


def test_a_file_with_a_bad_flag_is_exit_2(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The rest is linted all the same."""
    assert run(_lint, "lint", write('[flags.a]\npercnt = 5\n[flags.b]\npercent = 5\nowner = "x"')) == 2
    assert "[invalid]" in capsys.readouterr().out


# ── test ───────────────────────────────────────────────────────────────────

TESTED = """
[flags.base]
percent = 100
[flags.f]
variants = { out = "out", a = "va", b = "b" }
default = "out"
requires = [{ flag = "base" }]
[[flags.f.rules]]
when = 'plan == "pro"'
percent = 25
serve = "a"
[[flags.f.tests]]
name = "inside"
at = 24.9
attributes = { plan = "pro" }
expect = "a"
[[flags.f.tests]]
name = "by value"
at = 0
attributes = { plan = "pro" }
expect = "va"
reason = "SPLIT"
[[flags.f.tests]]
name = "just outside"
at = 25
attributes = { plan = "pro" }
expect = "out"
[[flags.f.tests]]
name = "without base"
key = "u"
flags = { base = "off" }
expect = "out"
reason = "DISABLED"
[flags.r.rollout]
[[flags.r.tests]]
name = "before the start"
at = 0
expect = "off"
[[flags.r.tests]]
name = "at ten percent"
at = 9.9
share = 10
expect = "on"
[flags.u]
unit = ["org", "user"]
percent = 50
[[flags.u.tests]]
at = 49.9
expect = "on"
[[flags.u.tests]]
key = "x"
expect = "TARGETING_KEY_MISSING"
"""


def test_flag_tests_run(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """By place in the share, by key, with other flags pinned, at a rollout's share."""
    assert run(_flagtests, "test", write(TESTED)) == 0
    assert capsys.readouterr().out == "8 passed, 0 failed\n"


def test_a_failing_flag_test_is_explained(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, with every step of the decision."""
    assert run(_flagtests, "test", write(TESTED.replace("at = 24.9", "at = 25.1"))) == 1
    out = capsys.readouterr().out
    assert "FAILED f: inside\n  expected 'a'" in out
    assert "is not below 25 %" in out


def test_flag_tests_may_stand_beside_the_file(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """NAME.tests.toml; a test of no flag is refused with its line."""
    file = write("[flags.a]\npercent = 100\n")
    write('[[tests]]\nflag = "a"\nkey = "u"\nexpect = true\n', "flags.tests.toml")
    assert run(_flagtests, "test", file, as_json=True) == 0
    assert told(capsys) == {"ok": True, "tests": [{"flag": "a", "name": "test 1", "ok": True, "why": ""}]}
    write('\n[[tests]]\nflag = "b"\nexpect = true\n', "flags.tests.toml")
    with pytest.raises(DefinitionError, match=r"flags\.tests\.toml:2: tests\[0\]: there is no flag 'b'"):
        run(_flagtests, "test", file)


def test_a_file_without_tests_is_undecided(write: Any) -> None:
    """Exit 3."""
    assert run(_flagtests, "test", write("[flags.a]")) == 3


# ── codegen ────────────────────────────────────────────────────────────────

TYPED = """
[flags.new-search]
description = 'Says "hello" \\ and more'
[flags.new_search]
[flags.checkout-flow]
variants = { classic = "classic", fast = "fast" }
default = "classic"
[flags."2nd.flag"]
variants = { low = 1, high = 2.5 }
default = "low"
[flags.limits]
variants = { small = { k = 10, tags = ["a"] } }
"""


def test_the_generated_module_is_typed_python(write: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It runs, mypy knows the types, and --check sees when it is old."""
    pytest.importorskip("mypy")
    file, made = write(TYPED), str(tmp_path / "our_flags.py")
    assert run(_codegen, "codegen", file, "--check", "-o", made) == 1
    assert run(_codegen, "codegen", file, "-o", made) == 0
    assert run(_codegen, "codegen", file, "--check", "-o", made) == 0
    space: dict[str, Any] = {}
    exec(Path(made).read_text(), space)
    assert {name for name in space if name.isupper()} == {"NEW_SEARCH", "NEW_SEARCH_2", "CHECKOUT_FLOW", "FLAG_2ND_FLAG", "LIMITS"}
    assert space["NEW_SEARCH"].description == 'Says "hello" \\ and more'
    assert (space["FLAG_2ND_FLAG"].default, space["LIMITS"].default) == (1.0, {"k": 10, "tags": ["a"]})
    Path(made).write_text(Path(made).read_text() + "\nreveal_type(CHECKOUT_FLOW.default)\nreveal_type(FLAG_2ND_FLAG.default)\n")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", made], capture_output=True, text=True, cwd=tmp_path
    )
    assert [line.split('"')[1].removeprefix("builtins.") for line in checked.stdout.splitlines()[:2]] == ["str", "float"], checked.stdout
    assert "error" not in checked.stdout


def test_no_module_is_made_without_a_flag_that_is_wrong(write: Any, tmp_path: Path) -> None:
    """It would be a type error far from its cause; the old module stays as it is."""
    made = tmp_path / "our_flags.py"
    made.write_text("old")
    with pytest.raises(DefinitionError, match="flags.bad"):
        run(_codegen, "codegen", write(TYPED + "[flags.bad]\npecent = 3\n"), "-o", str(made))

    assert made.read_text() == "old"


def test_a_generated_module_is_written_whole_or_not_at_all(write: Any, tmp_path: Path) -> None:
    """On a disk that takes no more, the old one stays and nothing lies beside it. Its mode is kept, and a link stays a link."""
    made, link = tmp_path / "our_flags.py", tmp_path / "linked.py"
    made.write_text("old")
    made.chmod(0o600)
    link.symlink_to(made)
    file = write(TYPED)
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)); import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
    )
    script = f"{limited}; from progflags.cli import main; raise SystemExit(main(['codegen', {file!r}, '-o', {str(made)!r}]))"
    done = subprocess.run([sys.executable, "-B", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, f"progflags: {made}: File too large\n")
    assert made.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flags.toml", "linked.py", "our_flags.py"]

    assert run(_codegen, "codegen", file, "-o", str(link)) == 0
    assert link.is_symlink()
    assert "NEW_SEARCH" in made.read_text()
    assert made.stat().st_mode & 0o777 == 0o600


# ── diff ───────────────────────────────────────────────────────────────────

OLD = '[flags.a]\npercent = 10\n[flags.b]\npercent = 50\n[flags.gone]\n[flags.same]\npercent = 3\n[flags.needs]\npercent = 100\nrequires = [{ flag = "a" }]\n'
NEW = '[flags.a]\npercent = 30\n[flags.b]\npercent = 50\ndescription = "now with words"\n[flags.fresh]\n[flags.same]\npercent = 3\n[flags.needs]\npercent = 100\nrequires = [{ flag = "a" }]\n'  # noqa: E501


def test_diff_says_who_moves(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """As a share of the units, those behind a prerequisite too; a description moves nobody."""
    assert run(_diff, "diff", write(OLD, "old.toml"), write(NEW, "new.toml"), as_json=True) == 0
    changes = {change["flag"]: change for change in told(capsys)["changes"]}

    assert {key: change["kind"] for key, change in changes.items()} == {
        "a": "changed",
        "b": "changed",
        "gone": "removed",
        "fresh": "added",
        "needs": "changed",
    }
    (move,) = changes["a"]["moved"]
    assert (move["from"], move["to"]) == ("off", "on")
    assert abs(move["ppm"] - 200_000) < 12_000
    assert move["percent"] == move["ppm"] / 10_000
    assert changes["needs"]["moved"] == changes["a"]["moved"]
    assert (changes["b"]["parts"], changes["b"]["moved"]) == (["description"], [])

    assert run(_diff, "diff", write(OLD, "old.toml"), write(NEW, "new.toml")) == 0
    assert f"off → on: {move['percent']:g} % of the units" in capsys.readouterr().out


def test_diff_takes_real_keys(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One a line."""
    keys = write("u1\nu2\n", "keys.txt")
    assert run(_diff, "diff", write(OLD, "old.toml"), write(OLD, "new.toml"), "--keys", keys) == 0
    assert capsys.readouterr().out == "0 flags differ, by 2 keys\n"


def test_no_key_to_look_at_is_said(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Else an empty file would say that nobody moves."""
    with pytest.raises(ProgflagsError, match="no key in it"):
        run(_diff, "diff", write(OLD, "old.toml"), write(NEW, "new.toml"), "--keys", write("", "keys.txt"))


def test_code_that_is_not_there_is_said(write: Any) -> None:
    """Else every flag would be one that no code asks for."""
    with pytest.raises(ProgflagsError, match="nowhere: there is no such file"):
        run(_lint, "lint", write(OLD), "--code", "nowhere")


def test_a_live_store_changes_no_flag_test(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are about the file: a kill in production makes no build fail."""
    from progflags.cli import main

    file = write('[flags.a]\npercent = 100\n[[flags.a.tests]]\nkey = "u"\nexpect = "on"\n')
    monkeypatch.setenv("PROGFLAGS_STORE", f"sqlite:///{tmp_path}/state.db")
    assert main(["--flags", file, "kill", "a"]) == 0

    assert main(["test", file]) == 0


def test_lint_finds_channels_that_hear_nothing_and_secrets_in_the_file(tmp_path, capsys):
    """With file, line and key; never the secret."""
    file = tmp_path / "flags.toml"
    file.write_text(
        '[notify.ops]\nslack = "https://hooks.slack.com/S3CRET"\nowners = ["payment"]\nflags = "pay-*"\ntags = "web"\n'
        '[notify.fine]\nwebhook = "https://audit.example.com"\nflags = ["new-*"]\n'
        '[flags.new-checkout]\nowner = "payments"\ntags = ["web"]\n'
    )

    assert main(["lint", str(file)]) == 1
    said = capsys.readouterr().out
    assert f"{file}:2: notify.ops.slack: who reads this file can speak there" in said
    assert f"{file}:3: notify.ops.owners: no flag's owner is 'payment'" in said
    assert f"{file}:4: notify.ops.flags: no flag's key is like 'pay-*'" in said
    assert "notify.fine" not in said
    assert "tags" not in said
    assert "S3CRET" not in said
