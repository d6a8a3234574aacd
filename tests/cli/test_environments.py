"""`--environment`: the command line looks at what a process there would serve."""

import json
from pathlib import Path
from typing import Any

import pytest

from progflags.cli import main

FILE = """\
[flags.checkout]
owner = "shop"
percent = 0

[flags.search]
owner = "search"
rollout = { profile = "low" }

[environments.staging.flags.checkout]
percent = 100

[environments.production]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "flags.toml"
    path.write_text(FILE)
    return path


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_evaluate_and_explain_answer_as_there(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """By the option, before the command or after it, or by the variable; the option wins."""
    for words in (["--environment", "staging", "evaluate", "checkout"], ["evaluate", "checkout", "--environment", "staging"]):
        assert run("--flags", file, *words, "--key", "u") == 0
        assert told(capsys) is True
    monkeypatch.setenv("PROGFLAGS_ENVIRONMENT", "staging")
    assert run("--flags", file, "--json", "explain", "checkout", "--key", "u") == 0
    assert told(capsys)["variant"] == "on"
    assert run("--flags", file, "--environment", "production", "evaluate", "checkout", "--key", "u") == 0
    assert told(capsys) is False
    assert run("--flags", file, "--environment", "prod", "evaluate", "checkout", "--key", "u") == 2
    assert "there is no environment 'prod' (known: production, staging)" in capsys.readouterr().err


def test_validate_looks_into_every_environment(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in any of them is one, whichever this machine is in; each is said once."""
    monkeypatch.setenv("PROGFLAGS_ENVIRONMENT", "production")
    assert run("validate", file) == 0
    assert capsys.readouterr().out == f"{file}: 2 flags, all valid, in staging, production too\n"
    assert run("validate", file, "--json") == 0
    assert told(capsys)["environments"] == ["staging", "production"]

    file.write_text(FILE + "\n[environments.qa.flags.search.rollout]\nprofile = 'lo'\n[environments.other.flags.checkout]\npercnt = 1\n")
    assert run("validate", file, "--json") == 2
    assert [(one["line"], one["key"]) for one in told(capsys)["problems"]] == [
        (15, "environments.qa.flags.search.rollout.profile"),
        (17, "environments.other.flags.checkout.percnt"),
    ]

    file.write_text(FILE + "\n[flags.bad]\npercent = 101\n")
    assert run("validate", file) == 2
    assert capsys.readouterr().err.count("flags.bad.percent") == 1
    assert run("validate", file, "--environment", "nowhere") == 2


def test_lint_names_the_line_in_the_environment(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is to be tidied up there, where it was written."""
    file.write_text(FILE + "\n[[environments.production.flags.checkout.rules]]\nserve = 'on'\n[environments.production.flags.late]\n")
    assert run("lint", file, "--environment", "production") == 1
    assert f"{file}:16: environments.production.flags.late: nobody owns this flag: add owner [no-owner]\n" in capsys.readouterr().out


def test_diff_doctor_and_status_take_it(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A change of one environment moves nobody in the other."""
    new = tmp_path / "new.toml"
    new.write_text(FILE.replace("percent = 100", "percent = 50"))
    assert run("--json", "diff", file, new, "--environment", "production") == 0
    assert told(capsys)["changes"] == []
    assert run("--json", "diff", file, new, "--environment", "staging") == 0
    (change,) = told(capsys)["changes"]
    assert (change["flag"], change["moved"][0]["from"], change["moved"][0]["to"]) == ("checkout", "on", "off")

    assert run("--flags", file, "--environment", "staging", "doctor") in (0, 2)
    assert f"{file} in staging: 2 flags" in capsys.readouterr().out
    assert run("--flags", file, "--store", f"sqlite:///{tmp_path}/s.db", "--environment", "staging", "status") == 0
    assert run("--flags", file, "--store", f"sqlite:///{tmp_path}/s.db", "--environment", "x", "status") == 1
    assert "refused: " in capsys.readouterr().out


def test_push_takes_the_whole_file(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine's environment is; and nothing that is wrong in one of them."""
    monkeypatch.setenv("PROGFLAGS_ENVIRONMENT", "production")
    store = f"sqlite:///{tmp_path}/s.db"
    assert run("push", file, "--store", store) == 0
    capsys.readouterr()
    assert run("--store", store, "--environment", "staging", "evaluate", "checkout", "--key", "u") == 0
    assert told(capsys) is True
    assert run("--store", store, "evaluate", "checkout", "--key", "u") == 0
    assert told(capsys) is False

    file.write_text(FILE + "\n[environments.production.flags.search.rollout]\nprofile = 'lo'\n")
    assert run("push", file, "--store", store) == 2
    assert "environments.production.flags.search.rollout.profile" in capsys.readouterr().err


def test_a_panic_needs_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's switches are one, and no file is asked."""
    monkeypatch.setenv("PROGFLAGS_ENVIRONMENT", "staging")
    assert run("--store", f"sqlite:///{tmp_path}/s.db", "panic", "--reason", "x") == 0
