"""The command line: what it prints, and its exit codes (0 good, 1 gate failed, 2 usage or bad file, 3 undecided)."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import progflags as pf
from progflags.cli import main

FILE = """\
[flags.new-search]
percent = 25
[flags.banner]
variants = { a = "a", b = "b" }
default = "b"
[flags.new-checkout.rollout]
[[flags.new-checkout.rollout.stages]]
percent = 5
bake = "15m"
gates = [{ metric = "error_rate", max_increase = 0.1 }]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "flags.toml"
    path.write_text(FILE)
    return str(path)


@pytest.fixture
def store(tmp_path):
    return f"sqlite:///{tmp_path / 'state.db'}"


def test_validate_says_good(file, capsys):
    assert main(["validate", file]) == 0
    assert "3 flags" in capsys.readouterr().out


def test_validate_takes_the_file_from_the_common_option_and_answers_in_json(file, capsys):
    assert main(["--flags", file, "--json", "validate"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_a_bad_file_is_named_with_line_and_key_and_a_suggestion(tmp_path, capsys):
    """Exit 2; on stderr `file:line: key.path: message (did you mean …?)`."""
    bad = tmp_path / "bad.toml"
    bad.write_text("[flags.new-search]\npecent = 25\n")

    assert main(["validate", str(bad)]) == 2
    said = capsys.readouterr().err
    assert f"{bad}:2: flags.new-search.pecent:" in said
    assert "did you mean 'percent'?" in said

    for command in (["validate", str(bad)], ["lint", str(bad)], ["--flags", str(bad), "doctor"]):
        program = subprocess.run([sys.executable, "-m", "progflags", *command], capture_output=True, text=True, check=False)
        assert (program.stdout + program.stderr).count("flags.new-search.pecent") == 1, "once, not in the log too"


def test_a_bad_file_as_json(tmp_path, capsys):
    bad = tmp_path / "bad.toml"
    bad.write_text("[flags.new-search]\npercent = 250\n")

    assert main(["validate", str(bad), "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert answer["problems"][0] | {"message": "", "hint": ""} == {
        "file": str(bad),
        "line": 2,
        "key": "flags.new-search.percent",
        "message": "",
        "hint": "",
    }


def test_a_missing_file_is_a_sentence_not_a_traceback(tmp_path, capsys):
    assert main(["validate", str(tmp_path / "absent.toml")]) == 2
    assert "absent.toml" in capsys.readouterr().err


def test_evaluate_prints_the_value_and_as_json_the_evaluation(file, capsys):
    assert main(["evaluate", "banner", "--key", "u", "--flags", file]) == 0
    assert capsys.readouterr().out == '"b"\n'
    assert main(["evaluate", "banner", "--key", "u", "--flags", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "key": "banner",
        "value": "b",
        "variant": "b",
        "reason": "STATIC",
        "error_code": None,
        "revision": 0,
    }


def test_an_unknown_flag_is_exit_2(file, capsys):
    assert main(["evaluate", "no-such-flag", "--key", "u", "--flags", file, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error_code"] == "FLAG_NOT_FOUND"


def test_explain_shows_bucket_and_threshold(file, capsys):
    assert main(["explain", "new-search", "--key", "user-42", "--flags", file]) == 0
    assert "bucket" in capsys.readouterr().out


def test_the_schema_is_json_schema(capsys):
    assert main(["schema"]) == 0
    assert "flags" in json.loads(capsys.readouterr().out)["properties"]


def test_a_kill_by_command_reaches_a_running_client(file, store, capsys):
    import progflags as pf

    with pf.connect(file, store=store, poll=None) as running:
        assert main(["--flags", file, "--store", store, "kill", "banner", "--reason", "it blinks", "--by", "ann"]) == 0
        running.refresh()
        assert running.evaluate("banner", "-", "u").reason == "DISABLED"
        assert main(["--flags", file, "--store", store, "unkill", "banner"]) == 0
        running.refresh()
        assert running.evaluate("banner", "-", "u").reason == "STATIC"


def test_a_panic_by_command_needs_no_file_and_reaches_a_running_client(file, store, capsys, tmp_path):
    """A flag file that is broken at that moment is no hindrance either."""
    import progflags as pf

    broken = tmp_path / "broken.toml"
    broken.write_text("[flags")
    with pf.connect(file, store=store, poll=None) as flags:
        assert main(["--flags", str(broken), "--store", store, "panic", "--reason", "it burns", "--by", "ann"]) == 0
        flags.refresh()
        assert flags.evaluate("banner", "-", "u").reason == "DISABLED"
        assert flags.status().panic.reason == "it burns"
        assert main(["--store", store, "unpanic", "--json"]) == 0
        flags.refresh()
        assert flags.evaluate("banner", "-", "u").reason != "DISABLED"
    assert capsys.readouterr().out == 'all flags: panic, every flag\'s safe variant serves\n{"ok": true, "panic": false}\n'
    assert main(["panic"]) == 2


def test_a_kill_needs_a_store_that_others_see(file, capsys):
    assert main(["--flags", file, "kill", "banner"]) == 2
    assert "--store" in capsys.readouterr().err


def test_an_address_that_is_no_store_is_exit_2(file, capsys):
    assert main(["--flags", file, "--store", "pigeon://coop", "kill", "banner"]) == 2
    assert "not a store" in capsys.readouterr().err


def test_definitions_can_be_pushed_to_the_store_and_served_from_it(file, store, capsys):
    import progflags as pf

    assert main(["--flags", file, "--store", store, "push", "--by", "ann"]) == 0
    with pf.connect(store=store, poll=None) as flags:
        assert flags.get("banner", "a", "u") == "b"


def test_a_file_is_pushed_by_its_name_as_it_is_validated(file, store, capsys):
    """As the error of an empty store says: `progflags push FILE`."""
    assert main(["--store", store, "push", file]) == 0
    assert "3 flags pushed" in capsys.readouterr().out
    assert main(["--store", store, "push"]) == 2
    assert "progflags push FILE --store URL" in capsys.readouterr().err


def test_where_definitions_live_in_the_store_no_command_needs_a_file(file, store, capsys):
    """`pf.connect(store=…)` serves them, so evaluate, kill and rollout work on them with `--store` alone."""
    assert main(["--store", store, "push", file]) == 0
    assert main(["--store", store, "kill", "banner"]) == 0
    assert main(["--store", store, "rollout", "start", "new-checkout"]) == 0
    capsys.readouterr()
    assert main(["--store", store, "evaluate", "banner", "--key", "u", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reason"] == "DISABLED"


def test_a_store_without_definitions_is_told_from_a_forgotten_file(store, capsys):
    assert main(["--store", store, "rollout", "status", "new-checkout"]) == 2
    assert "--flags FILE" in capsys.readouterr().err


def test_the_doctor_knows_every_extra(capsys):
    """Each extra that brings a package (`all` brings them all)."""
    import tomllib

    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert main(["doctor", "--json"]) == 0
    told = {check["what"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert {f"extra {extra}" for extra in extras if extra != "all"} <= told


@pytest.mark.parametrize("words", [["lint", "one.toml"], ["diff", "one.toml", "two.toml"], ["doctor", "--flags", "one.toml"]])
def test_one_flag_is_one_flag(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("one.toml").write_text('[flags.a]\nowner = "ann"\npercent = 5\n')
    Path("two.toml").write_text('[flags.a]\nowner = "ann"\npercent = 6\n')
    main(words)
    assert re.search(r"\b1 flag\b", capsys.readouterr().out)


def test_the_doctor_finds_nothing_wrong_with_a_good_file_and_something_with_a_bad_one(file, store, tmp_path, capsys):
    assert main(["--flags", file, "--store", store, "doctor"]) == 0
    (tmp_path / "bad.toml").write_text("[flags")
    assert main(["--flags", str(tmp_path / "bad.toml"), "doctor", "--json"]) == 2
    assert '"wrong"' in capsys.readouterr().out


def test_a_wrong_word_is_usage(capsys):
    assert main(["frobnicate"]) == 2
    assert "usage" in capsys.readouterr().err


def test_the_module_is_the_same_program(file):
    done = subprocess.run([sys.executable, "-m", "progflags", "--version"], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout.split()[0]) == (0, "progflags")


def test_help_loads_nothing_heavy():
    """`progflags --help` is answered without pydantic, scipy, asyncio or opentelemetry."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from progflags.cli import main; main(['--help']);"
            "print([m for m in ('scipy', 'numpy', 'pydantic', 'asyncio', 'opentelemetry') if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("question", ["history", "verify", "status"])
def test_a_rollout_of_no_flag_is_refused_and_never_called_good(file, store, question, capsys):
    """A misspelt name is no flag with an untouched history."""
    assert main(["--flags", file, "--store", store, "rollout", question, "new-chekcout"]) == 2
    said = capsys.readouterr()
    assert (said.out, "did you mean 'new-checkout'" in said.err) == ("", True)

    assert main(["--flags", file, "--store", store, "rollout", question, "new-checkout"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["rollout", "watch", "new-checkout", "--every", "-1"],
        ["rollout", "watch", "new-checkout", "--every", "nan"],
        ["rollout", "status", "-w", "new-checkout", "--every", "0"],
        ["rollout", "plan", "new-checkout", "--rps", "-5"],
        ["rollout", "plan", "new-checkout", "--rps", "inf"],
        ["rollout", "plan", "new-checkout", "--error-rate", "7"],
        ["rollout", "plan", "new-checkout", "--error-rate", "much"],
    ],
)
def test_a_number_that_means_nothing_is_usage(file, store, words, capsys):
    """Said before anything is looked at."""
    assert main(["--flags", file, "--store", store, *words]) == 2
    said = capsys.readouterr()
    assert (said.out, f"argument {words[-2]}" in said.err) == ("", True)


def test_a_file_that_cannot_be_written_is_a_sentence(file, store, capsys):
    """Not a folder, a folder, no such folder: named, with no traceback."""
    common = ["--flags", file, "--store", store]
    assert main([*common, "rollout", "start", "new-checkout"]) == 0
    for words in (["report", "new-checkout", "--html"], ["codegen", "-o"]):
        for place in (f"{file}/x", str(Path(file).parent), f"{file}.none/x"):
            capsys.readouterr()
            assert main([*common, *words, place]) == 2, (words, place)
            assert capsys.readouterr().err.startswith(f"progflags: {place}: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [["schema"], ["evaluate", "new-search", "--key", "u", "--json"], ["codegen"]])
def test_an_output_that_is_full_is_said_and_no_success(file, words):
    """Half a schema is worse than none."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "progflags", "--flags", file, *words], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "progflags: No space left on device\n")


def test_a_reader_that_leaves_is_no_error(file):
    """`progflags schema | head -1`"""
    with subprocess.Popen([sys.executable, "-m", "progflags", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        one.stdout.close()
        assert (one.stderr.read(), one.wait(60)) == ("", 0)


@pytest.mark.parametrize("unknown", [KeyError, OSError], ids=["before 3.13", "since"])
def test_definitions_are_pushed_by_somebody_without_a_name_too(file, store, unknown, monkeypatch, capsys):
    """A container's user that the system does not know: Python says so in one way or the other."""

    def nobody():
        raise unknown("no such user")

    monkeypatch.setattr("getpass.getuser", nobody)

    assert main(["--flags", file, "--store", store, "push"]) == 0
    assert "3 flags pushed" in capsys.readouterr().out


def test_the_doctor_knows_the_processes_and_whether_they_serve_the_same(file, store, capsys):
    with pf.connect(file, store=store, poll=None) as flags:
        flags.rollouts.tick()
        assert main(["--store", store, "doctor"]) == 0
        told = capsys.readouterr().out
        assert "processes              1 told of themselves in the last 100 s" in told
        assert f":{os.getpid()}" in told

        other = {**flags.rollouts.processes()[0].to_dict(), "v": 1, "name": "elsewhere:7", "definitions": "0" * 64}
        flags._store.board.publish("processes", "other", 1, json.dumps(other).encode())
        assert main(["--store", store, "doctor"]) == 0
        assert "they do not all serve the same definitions" in capsys.readouterr().out
