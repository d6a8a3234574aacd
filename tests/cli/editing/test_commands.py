"""set, add, rule, archive: what a person types, what is shown, and what is in the file or the store afterwards."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import progflags as pf
from progflags.cli import main
from progflags.errors import ConflictError
from progflags.sources import StoreSource, push, source_of
from progflags.store import open_store

FILE = """\
# the shop's flags
schema = 1

[segments.staff]
when = 'email endswith "@example.com"'

# The new search. Ask ann.
[flags.new-search]
description = "Vector search"
percent = 25      # a quarter

[flags.checkout-flow]
variants = { classic = "classic", fast = "fast" }
default = "classic"

# staff first
[[flags.checkout-flow.rules]]
name = "staff"
when = 'segment("staff")'
serve = "fast"

# then half of the others
[[flags.checkout-flow.rules]]
percent = 50
serve = "fast"
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.delenv("PROGFLAGS_FILE", raising=False)
    monkeypatch.delenv("PROGFLAGS_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "flags.toml"
    path.write_text(FILE)
    return path


def run(*words):
    return main(["--flags", "flags.toml", *words])


def lines_apart(before, after):
    gone = [line for line in before.split("\n") if line not in after.split("\n")]
    come = [line for line in after.split("\n") if line not in before.split("\n")]
    return gone, come


# ── set ────────────────────────────────────────────────────────────────────


def test_set_shows_the_lines_and_who_moves_and_writes_them(file, capsys):
    assert run("set", "new-search", "percent=20") == 0

    assert file.read_text() == FILE.replace("percent = 25 ", "percent = 20 ")
    said = capsys.readouterr().out
    assert "-percent = 25      # a quarter\n+percent = 20      # a quarter\n" in said
    assert "new-search: changed (rules)\n  on → off: 4.87 % of the units\nby 20,000 made-up units\n" in said
    assert said.endswith("flags.toml: written\n")


def test_a_dry_run_shows_the_same_and_writes_nothing(file, capsys):
    before = file.stat().st_mtime_ns
    assert run("set", "new-search", "percent=20", "--dry-run") == 0

    assert file.stat().st_mtime_ns == before
    said = capsys.readouterr().out
    assert "on → off" in said
    assert said.endswith("flags.toml: nothing was written (--dry-run)\n")


def test_as_json(file, capsys):
    assert run("set", "new-search", "percent=20", "--json") == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["written"]) == (True, True)
    assert told["files"] == ["flags.toml"]
    assert told["diff"][-2:] == ["+percent = 20      # a quarter", " "]
    (change,) = told["changes"]
    assert (change["flag"], change["kind"]) == ("new-search", "changed")
    assert change["moved"][0]["percent"] == pytest.approx(4.87, abs=0.1)
    assert (told["units"], told["notes"], told["warnings"]) == (20_000, [], [])


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("owner=ann", 'owner = "ann"'),
        ('owner="ann"', 'owner = "ann"'),
        ("expires=2027-03-01", "expires = 2027-03-01"),
        ('tags=["a", "b"]', 'tags = ["a", "b"]'),
        ("enabled=false", "enabled = false"),
        ('metadata."a b"=1.5', 'metadata."a b" = 1.5'),
        ('description=He said "no"', "description = 'He said \"no\"'"),
        ("rules=[{ percent = 5 }]", "rules = [{ percent = 5 }]"),
    ],
)
def test_values_are_tomls_or_text(file, word, line):
    assert run("set", "new-search", word) == 0
    assert line in [one.partition("  #")[0].rstrip() for one in file.read_text().split("\n")]


def test_what_others_call_it_is_understood_and_said(file, capsys):
    assert run("set", "new-search", "share=20") == 0
    assert "note: share is called percent in a flag file" in capsys.readouterr().out
    assert "percent = 20" in file.read_text()


def test_a_key_is_taken_out_in_the_same_step(file):
    """A share by hand becomes a rollout's: both at once would be refused."""
    assert run("set", "new-search", "rollout.profile=high", "--unset", "percent") == 0
    assert lines_apart(FILE, file.read_text()) == (["percent = 25      # a quarter"], ['rollout.profile = "high"'])


@pytest.mark.parametrize("key", ["rules[1].percent", 'rules["rule 2"].percent', "rules[rule 2].percent"])
def test_a_rule_is_found_by_its_place_or_its_name(file, key):
    assert run("set", "checkout-flow", f"{key}=60") == 0
    assert lines_apart(FILE, file.read_text()) == (["percent = 50"], ["percent = 60"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set", "new-search", "pct=5"], "flags.toml:11: flags.new-search.pct: unknown key 'pct' (did you mean 'percent'?)"),
        (["set", "new-search", "percent=120"], "flags.toml:10: flags.new-search.percent: "),
        (["set", "new-search", "rollout.profile=high"], "flags.new-search.percent: 'percent' beside 'rollout'"),
        (["set", "new-search", "rollout.profile=hgh", "--unset", "percent"], "flags.new-search.rollout.profile: "),
        (["set", "new-serch", "percent=5"], "there is no flag 'new-serch' (did you mean 'new-search'?)"),
        (["set", "new-search", "percent"], "write key=value, as in percent=20"),
        (["set", "new-search", "percent="], "--unset percent"),
        (["set", "new-search"], "progflags set new-search percent=20"),
        (["set", "new-search", "tags=[1"], "is no value of TOML"),
        (["set", "new-search", "--unset", "owner"], "there is no owner that could be taken out"),
        (["set", "checkout-flow", "rules[5].percent=1"], "there is no rules[5]; there are 2, from 0"),
        (["set", "checkout-flow", "rules[stuff].percent=1"], "there is no rule 'stuff' (known: 'staff', 'rule 2')"),
        (["rule", "remove", "new-search", "1"], "there is no rule '1' (it has none)"),
        (["rule", "move", "checkout-flow", "3", "--first"], "there is no rule '3'"),
        (
            ["rule", "add", "checkout-flow", "serve=faster"],
            "flags.toml:28: flags.checkout-flow.rules[2].serve: there is no variant 'faster'",
        ),
        (["add", "new-search"], "flags.toml: there is a flag 'new-search' already: progflags set new-search … changes it"),
        (["add", "other", "percnt=5"], "flags.other.percnt: unknown key 'percnt'"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_what_would_be_wrong_is_refused_with_its_place_and_nothing_is_written(file, capsys, words, said, as_json):
    assert run(*words, *(["--json"] if as_json else [])) == 2
    assert file.read_text() == FILE
    out, err = capsys.readouterr()
    if as_json:
        told = json.loads(out)
        assert told["ok"] is False
        message = told.get("error") or "; ".join(
            f"{p['file']}:{p['line']}: {p['key']}: {p['message']} ({p['hint']})" for p in told["problems"]
        )
        assert said in message
    else:
        assert said in err


def test_what_was_wrong_before_elsewhere_is_no_hindrance(file, capsys):
    """Neither where its line moves, nor where its place in a list does."""
    broken = FILE + '\n[flags.broken]\npercnt = 3\n\n[flags.rules]\nrules = [{ percent = 5 }, { srve = "on" }]\n'
    file.write_text(broken)

    assert run("set", "new-search", "owner=ann") == 0
    assert run("rule", "add", "rules", "percent=1", "--first") == 0
    assert run("set", "broken", "tags=3") == 2
    err = capsys.readouterr().err
    assert "flags.broken.tags" in err
    assert "percnt" not in err


def test_a_document_that_no_application_would_load_is_corrected_first(file, capsys):
    file.write_text(FILE + "\n[flagz.x]\n")
    assert run("set", "new-search", "percent=20") == 2
    assert "flagz" in capsys.readouterr().err


def test_what_is_so_already_is_not_written_again(file, capsys):
    before = file.stat().st_ino
    assert run("set", "new-search", "percent=25") == 0
    assert file.stat().st_ino == before
    assert "it says so already, nothing was written" in capsys.readouterr().out


def test_who_moves_is_asked_of_whom_one_names(file, tmp_path, capsys):
    keys = tmp_path / "keys.txt"
    keys.write_text("ann\nbob\n")
    assert run("rule", "remove", "checkout-flow", "2", "--keys", str(keys), "--attr", "email=x@example.com", "--dry-run") == 0
    assert "nobody moves\nby 2 keys" in capsys.readouterr().out


# ── add, rule, archive ─────────────────────────────────────────────────────


def test_a_flag_more_stands_after_the_others(file, capsys):
    assert run("add", "blue-button", "percent=5", "owner=web", "rollout2=1") == 2
    assert run("add", "blue-button", "percent=5", "owner=web") == 0
    assert file.read_text() == FILE + '\n[flags.blue-button]\npercent = 5\nowner = "web"\n'
    assert "blue-button: added" in capsys.readouterr().out


def test_the_first_flag_makes_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "a.toml": "[flags.one]\npercent = 5\n",
        "a.yaml": "flags:\n  one:\n    percent: 5\n",
        "a.json": '{\n    "flags": {\n        "one": {\n            "percent": 5\n        }\n    }\n}\n',
    }.items():
        assert main(["--flags", name, "add", "one", "percent=5"]) == 0
        assert Path(name).read_text().strip() + "\n" == text
    assert main(["--flags", "none.toml", "set", "one", "percent=5"]) == 2
    assert not Path("none.toml").exists()


def test_rules_are_added_moved_and_removed_with_their_comments(file):
    assert run("rule", "add", "checkout-flow", "name=de", 'when=country == "DE"', "serve=fast", "--before", "rule 2") == 0
    assert run("rule", "move", "checkout-flow", "de", "--first") == 0
    assert rules(file) == ["de", "staff", None]
    assert run("rule", "move", "checkout-flow", "staff", "--last") == 0
    assert rules(file) == ["de", None, "staff"]
    assert run("rule", "move", "checkout-flow", "rules[2]", "--after", "1") == 0
    assert rules(file) == ["de", "staff", None]
    assert run("rule", "remove", "checkout-flow", "de") == 0
    assert file.read_text() == FILE
    for _ in range(2):
        assert run("rule", "remove", "checkout-flow", "1") == 0
    assert "rules" not in file.read_text()


def rules(file):
    import tomllib

    text = file.read_text()
    for mark, name in (("# staff first\n", 'name = "staff"'), ("# then half of the others\n", "percent = 50")):
        assert f"{mark}[[flags.checkout-flow.rules]]\n{name}" in text
    return [rule.get("name") for rule in tomllib.loads(text)["flags"]["checkout-flow"]["rules"]]


def test_an_archived_flag_leaves_its_key_and_the_comment_above_it(file, capsys):
    assert run("archive", "new-search", "--reason", "everybody has it") == 0

    text = file.read_text()
    retired = '\nretired = [\n    # The new search. Ask ann.\n    # everybody has it\n    "new-search",\n]\n'
    assert retired in text
    assert text.replace(retired, "\n") == FILE.replace(FILE[FILE.index("# The new") : FILE.index("[flags.checkout")], "")
    assert run("archive", "new-search") == 2
    assert run("add", "new-search") == 2
    assert run("set", "new-search", "percent=3") == 2
    assert capsys.readouterr().err.count("retired") >= 3


def test_a_running_application_takes_every_edit(file):
    """Also one that makes the file shorter at its end, which looks as if it had been cut off."""
    with pf.connect(file, poll=None) as flags:
        for words in (["rule", "remove", "checkout-flow", "2"], ["rule", "remove", "checkout-flow", "1"], ["archive", "checkout-flow"]):
            assert run(*words) == 0
            flags.refresh()
            assert flags.status().state == "READY", words
        assert list(flags.definitions.flags) == ["new-search"]


def test_a_flag_that_another_requires_is_not_archived(file, capsys):
    file.write_text(FILE + '\n[flags.top]\nrequires = [{ flag = "new-search", is = "on" }]\n')
    assert run("archive", "new-search") == 2
    err = capsys.readouterr().err
    assert "flags.top.requires" in err
    assert "refused, nothing was written" in err


# ── a folder, other forms ──────────────────────────────────────────────────


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "flags"
    place.mkdir()
    (place / "a.toml").write_text("[flags.a]\npercent = 5\n")
    (place / "b.yaml").write_text("# b\nflags:\n  b: # here\n    percent: 5\n")
    (place / "c.json").write_text('{\n  "flags": {\n    "c": { "percent": 5 }\n  }\n}\n')
    return place


def test_in_a_folder_the_file_that_has_the_flag_is_changed(folder):
    for key in "abc":
        assert main(["--flags", "flags", "set", key, "percent=7"]) == 0
    assert [path.read_text() for path in sorted(folder.iterdir())] == [
        "[flags.a]\npercent = 7\n",
        "# b\nflags:\n  b: # here\n    percent: 7\n",
        '{\n  "flags": {\n    "c": { "percent": 7 }\n  }\n}\n',
    ]


def test_a_folder_is_right_or_wrong_as_a_whole(folder, capsys):
    assert main(["--flags", "flags", "set", "b", 'requires=[{ flag = "a", is = "on" }]']) == 0
    assert main(["--flags", "flags", "archive", "a"]) == 2
    assert "flags/b.yaml:6: flags.b.requires" in capsys.readouterr().err
    assert "percent = 5" in (folder / "a.toml").read_text()


def test_in_a_folder_a_new_flags_file_is_asked_for(folder, capsys):
    assert main(["--flags", "flags", "add", "d", "percent=1"]) == 2
    assert "say --in FILE (known: flags/a.toml, flags/b.yaml, flags/c.json)" in capsys.readouterr().err
    assert main(["--flags", "flags", "add", "d", "percent=1", "--in", "b.yaml"]) == 0
    assert (folder / "b.yaml").read_text() == "# b\nflags:\n  b: # here\n    percent: 5\n  d:\n    percent: 1\n"
    assert main(["--flags", "flags", "add", "e", "percent=1", "--in", "flags/new.toml"]) == 0
    assert (folder / "new.toml").read_text().strip() == "[flags.e]\npercent = 1"
    for wrong in ("../x.toml", "x.txt", ".x.toml", "sub/x.toml"):
        assert main(["--flags", "flags", "add", "f", "--in", wrong]) == 2


def test_days_are_text_where_a_form_has_none(folder):
    assert main(["--flags", "flags", "set", "c", "expires=2027-03-01"]) == 0
    assert '"expires": "2027-03-01"' in (folder / "c.json").read_text()
    assert main(["--flags", "flags", "set", "b", "expires=2027-03-01"]) == 0
    assert "expires: 2027-03-01\n" in (folder / "b.yaml").read_text()


# ── environments ───────────────────────────────────────────────────────────

PLACES = (
    FILE
    + """
[environments.production]

[environments.staging.flags.new-search]
percent = 100    # everybody here
"""
)


def test_in_an_environment_its_own_lines_are_changed(file, capsys):
    file.write_text(PLACES)
    assert run("set", "new-search", "percent=50", "--environment", "staging") == 0
    assert file.read_text() == PLACES.replace("percent = 100 ", "percent = 50 ")
    said = capsys.readouterr().out
    assert "in staging:\n  new-search: changed (rules)\n    on → off: " in said
    assert "in production" not in said

    assert run("set", "checkout-flow", "serve=fast", "rules=[]", "--environment", "production", "--json") == 0
    assert file.read_text().count('[environments.production.flags.checkout-flow]\nserve = "fast"\nrules = []\n') == 1
    told = json.loads(capsys.readouterr().out)
    assert told["changes"] == []
    assert [one["flag"] for one in told["environments"]["production"]] == ["checkout-flow"]
    assert told["environments"]["staging"] == []


def test_where_a_program_runs_is_not_where_is_written(file, monkeypatch):
    file.write_text(PLACES)
    monkeypatch.setenv("PROGFLAGS_ENVIRONMENT", "staging")
    assert run("set", "new-search", "percent=20") == 0
    assert file.read_text() == PLACES.replace("percent = 25 ", "percent = 20 ")


def test_for_everybody_it_is_said_where_an_environment_moves_otherwise(file, capsys):
    file.write_text(PLACES)
    assert run("set", "new-search", "percent=20") == 0
    said = capsys.readouterr().out
    assert "in staging: nothing changes\n" in said
    assert "in production" not in said


def test_what_is_wrong_in_one_environment_is_refused_with_its_place(file, capsys):
    file.write_text(PLACES)
    assert run("set", "new-search", "serve=onn", "--environment", "staging") == 2
    assert "environments.staging.flags.new-search.serve: there is no variant 'onn'" in capsys.readouterr().err
    assert run("set", "new-search", "percent=5", "--environment", "stagin") == 2
    assert "there is no environment 'stagin' (did you mean 'staging'?)" in capsys.readouterr().err
    assert run("rule", "add", "checkout-flow", "serve=fast", "--environment", "staging") == 2
    assert "has no rules of its own in staging" in capsys.readouterr().err
    assert run("archive", "new-search", "--environment", "staging") == 2
    assert file.read_text() == PLACES


def test_a_flag_may_be_of_one_environment_and_is_archived_in_all(file):
    file.write_text(PLACES)
    assert run("add", "probe", "percent=5", "--environment", "staging") == 0
    assert "[environments.staging.flags.probe]\npercent = 5\n" in file.read_text()
    assert run("archive", "new-search") == 0
    text = file.read_text()
    assert text.count("new-search") == 1
    assert "[environments.staging.flags.probe]" in text


# ── the file itself ────────────────────────────────────────────────────────


def test_mode_and_link_stay(file, tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    file.rename(real / "x.toml")
    (real / "x.toml").chmod(0o640)
    file.symlink_to(real / "x.toml")

    assert run("set", "new-search", "percent=20") == 0

    assert file.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert "percent = 20" in (real / "x.toml").read_text()
    assert sorted(os.listdir(real)) == ["x.toml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_the_owner_stays(file):
    os.chown(file, 12345, 12346)
    assert run("set", "new-search", "percent=20") == 0
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 12346)


def test_a_change_by_an_editor_in_between_is_not_lost(file, monkeypatch, capsys):
    from progflags.cli.editing import _place

    put = _place._put

    def late(draft):
        file.write_text(FILE + "# an editor was here\n")
        put(draft)

    monkeypatch.setattr(_place, "_put", late)
    assert run("set", "new-search", "percent=20") == 2
    assert file.read_text() == FILE + "# an editor was here\n"
    assert "somebody else changed it at the same moment; nothing was written" in capsys.readouterr().err


def test_what_is_published_is_changed_where_it_comes_from(capsys):
    assert main(["--flags", "https://example.com/flags.json", "set", "a", "percent=5"]) == 2
    assert "change the file that it comes from" in capsys.readouterr().err


def test_edits_at_the_same_time_are_all_there(file):
    """Processes, each with a flag of its own; none is lost, and each was told so."""
    words = [[sys.executable, "-m", "progflags", "--flags", "flags.toml", "add", f"flag-{at}", "percent=1"] for at in range(6)]
    running = [subprocess.Popen(each, stdout=subprocess.DEVNULL) for each in words]
    assert [each.wait(60) for each in running] == [0] * 6
    for at in range(6):
        assert f"[flags.flag-{at}]\npercent = 1\n" in file.read_text()


# ── the store ──────────────────────────────────────────────────────────────


@pytest.fixture
def store(file, tmp_path):
    address = f"sqlite:///{tmp_path}/state.db"
    opened = open_store(address)
    push(opened, source_of(str(file)).read(), by="ci")
    yield address
    opened.close()


def test_what_was_pushed_is_changed_in_the_store_and_written_down(store, capsys):
    assert main(["--store", store, "set", "new-search", "percent=20", "--by", "ann"]) == 0

    assert "flags.toml written, store revision 2" in capsys.readouterr().out
    opened = open_store(store)
    (piece,) = StoreSource(opened).read()
    assert piece.text.decode() == FILE.replace("percent = 25 ", "percent = 20 ")
    opened.close()
    with pf.connect(store=store, poll=None) as flags:
        change = flags.changes("new-search")[0]
        assert (change.kind, change.actor) == ("definition", "ann")
        assert Path("flags.toml").read_text() == FILE


def test_a_dry_run_and_a_refusal_leave_the_store_alone(store, capsys):
    assert main(["--store", store, "set", "new-search", "percent=20", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] is False
    assert main(["--store", store, "set", "new-search", "pct=20"]) == 2
    opened = open_store(store)
    assert opened.revision() == 1
    opened.close()


def test_a_push_in_between_is_kept_and_the_edit_is_made_on_it(store, monkeypatch):
    import progflags.sources as sources

    real, times = sources.push, []

    def slow(opened, pieces, **options):
        if not times:
            times.append(1)
            text = pieces[0].text.replace(b"percent = 20", b"percent = 25").replace(b"Vector search", b"Other words")
            real(opened, [type(pieces[0])("flags.toml", "toml", text)], by="bob")
        return real(opened, pieces, **options)

    monkeypatch.setattr(sources, "push", slow)
    assert main(["--store", store, "set", "new-search", "percent=20"]) == 0
    opened = open_store(store)
    text = StoreSource(opened).read()[0].text.decode()
    opened.close()
    assert "Other words" in text
    assert "percent = 20" in text


def test_a_store_that_is_never_still_is_left_alone(store, monkeypatch, capsys):
    import progflags.sources as sources

    def never(*_, **__):
        raise ConflictError("somebody else")

    monkeypatch.setattr(sources, "push", never)
    assert main(["--store", store, "set", "new-search", "percent=20"]) == 2
    assert "somebody else pushed at the same moment, 5 times; nothing was written" in capsys.readouterr().err


def test_flags_are_added_and_archived_in_the_store_until_none_is_left(store):
    """With a client that takes every step: nothing looks as if it had been cut off, or emptied."""
    with pf.connect(store=store, poll=None) as flags:
        for words in (
            ["add", "third", "percent=5"],
            ["rule", "remove", "checkout-flow", "2"],
            ["archive", "third"],
            ["archive", "checkout-flow"],
            ["archive", "new-search", "--by", "ann"],
        ):
            assert main(["--store", store, *words]) == 0, words
            flags.refresh()
            assert flags.status().state == "READY", words
        assert list(flags.definitions.flags) == []
        assert flags.definitions.retired == {"third", "checkout-flow", "new-search"}
        assert flags.changes(limit=1)[0].actor == "ann"


def test_a_store_without_definitions_and_no_place_at_all_are_said(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("PROGFLAGS_FILE", raising=False)
    monkeypatch.delenv("PROGFLAGS_STORE", raising=False)
    assert main(["--store", f"sqlite:///{tmp_path}/new.db", "set", "a", "percent=1"]) == 2
    assert "progflags push FILE puts them there" in capsys.readouterr().err
    assert main(["set", "a", "percent=1"]) == 2
    assert "--flags FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["set", "--dry-run", "new-search", "percent=20"],
        ["set", "new-search", "--dry-run", "percent=20", "owner=ann"],
        ["set", "new-search", "owner=ann", "--unset", "percent", "description=x", "--dry-run"],
        ["set", "new-search", "--uns", "percent", "--keys=keys", "owner=ann", "--dry"],
        ["add", "third", "--by", "ann", "percent=5", "--flags", "flags.toml", "owner=x", "--dry-run", "--json"],
        ["rule", "add", "--first", "checkout-flow", "--dry-run", "percent=5", "--attr", "plan=pro", "serve=fast"],
        ["rule", "move", "--before", "staff", "checkout-flow", "--dry-run", "rule 2"],
        ["archive", "--reason", "over", "checkout-flow", "--dry-run"],
    ],
)
def test_options_stand_wherever_one_types_them(file, tmp_path, words, capsys):
    (tmp_path / "keys").write_text("ann")
    assert main([*words, "--flags", "flags.toml"]) == 0
    assert file.read_text() == FILE
    assert "--dry-run" in capsys.readouterr().out or "--json" in words


def test_what_is_no_option_is_said(file, capsys):
    assert run("set", "new-search", "--nothing", "percent=20") == 2
    assert "--nothing" in capsys.readouterr().err
    assert run("set", "new-search", "percent=20", "--unset") == 2
    assert file.read_text() == FILE


def test_items_of_a_list_that_go_together_are_those_that_were_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rules = "".join(f"[[flags.many.rules]]\nname = 'r{number}'\npercent = {number + 1}\n" for number in range(12))
    (tmp_path / "flags.toml").write_text(f"[flags.many]\nowner = 'ann'\n{rules}")
    assert run("set", "many", "--unset", "rules[2]", "--unset", "owner", "--unset", "rules[10]", "--unset", "rules[9].percent") == 0
    with pf.connect("flags.toml", poll=None) as flags:
        names = [rule.name for rule in flags.definitions.flags["many"].rules]
    assert names == [f"r{number}" for number in range(12) if number not in (2, 10)]
