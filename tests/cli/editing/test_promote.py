"""promote: every difference between two environments is shown, and exactly those are gone afterwards."""

from __future__ import annotations

import io
import json
import tomllib

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from progflags.cli import main
from progflags.cli.definitions._promotion import Promotion, _alike
from progflags.cli.editing import Definitions
from progflags.sources import Piece, merged
from support.sizes import size

FORMS = ["toml", "yaml", "json"]
KEYS = {
    "percent": [0, 10, 25.5, 100],
    "serve": ["on", "off"],
    "split": [{"on": 1, "off": 1}, {"on": 3, "off": 1}],
    "ramp": [{"from": "2027-01-01", "until": "2027-02-01"}],
    "rules": [[], [{"percent": 5}], [{"when": "a == 'b'", "percent": 1}, {"percent": 2}]],
    "rollout": [{"profile": "high"}, {"profile": "low", "watch": "1h"}, {"watch": "2h", "alpha": 0.01}],
    "variants": [{"on": True, "off": False}, {"on": True, "off": False, "x": True}],
    "metadata": [{"a": 1}, {"a": 2, "b": "x"}, {"c d": True}],
    "owner": ["ann", "bob"],
    "enabled": [True, False],
}


def table(chance):
    return {key: chance.choice(KEYS[key]) for key in chance.sample(list(KEYS), chance.randrange(4))}


def document(chance):
    """Flags of everybody, and what three environments have otherwise: some flags of one alone, some tables empty."""
    names = ["a", "b", "c", "d e"]
    found = {"schema": 1, "flags": {name: table(chance) for name in chance.sample(names, chance.randrange(1, 4))}, "environments": {}}
    for place in ("staging", "production", "test"):
        flags = {name: table(chance) for name in chance.sample(names, chance.randrange(4))}
        found["environments"][place] = {"flags": flags} if flags or chance.random() < 0.5 else {}
    return json.loads(json.dumps(found))  # nothing is the same object twice: YAML would say so


def text(form, found):
    if form == "toml":
        return tomlkit.dumps(found)
    if form == "json":
        return json.dumps(found, indent=2) + "\n"
    out = io.StringIO()
    YAML().dump(found, out)
    return out.getvalue()


def effective(definitions, environment):
    return merged(definitions.name, definitions.pieces, environment)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.sized
@settings(max_examples=size(80, full=2000), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_afterwards_the_named_flags_are_the_same_and_everything_else_is_as_it_was(form, chance):
    pieces = [Piece(f"flags.{form}", form, text(form, document(chance)).encode())]
    if chance.random() < 0.4:  # a second file, which says more of the same environments, of flags of its own
        other = json.loads(
            json.dumps(document(chance)).replace('"a"', '"a2"').replace('"b"', '"b2"').replace('"c"', '"c2"').replace("d e", "f")
        )
        pieces.append(Piece(f"more.{form}", form, text(form, other).encode()))
    before = Definitions.of("flags", pieces)
    known = sorted({**effective(before, "staging")["flags"], **effective(before, "production")["flags"]})
    named = chance.sample(known, chance.randrange(len(known) + 1))

    promotion = Promotion(before, "staging", "production", named)
    now = before
    for old, edits in promotion.edits:
        now = now.with_(old, old.edited(edits))

    wanted, was, found = (effective(one, place) for one, place in ((before, "staging"), (before, "production"), (now, "production")))
    kept = {flag for flag in was["flags"] if flag not in wanted["flags"]} - set(named)
    for flag in {*wanted["flags"], *was["flags"], *found["flags"]}:
        moved = (not named or flag in named) and flag not in kept
        assert _alike(found["flags"].get(flag), (wanted if moved else was)["flags"].get(flag)), flag
    for place in ("", "staging", "test"):
        assert effective(now, place) == effective(before, place)
    assert {one.flag for one in promotion.differences} == {
        flag for flag in promotion.flags if not _alike(was["flags"].get(flag), wanted["flags"].get(flag))
    }
    assert Promotion(now, "staging", "production", named).differences == () if set(named) <= {*wanted["flags"], *found["flags"]} else True
    assert not promotion.differences or promotion.edits


FILE = """\
[segments.staff]
when = 'email endswith "@example.com"'

[flags.a]
percent = 10 # ten
owner = "x"

[flags.b]
percent = 5

# nothing is otherwise here
[environments.production]

[environments.staging.segments.staff]
when = 'email endswith "@test.example.com"'

[environments.staging.flags.a]
percent = 100
[environments.staging.flags.b]
serve = "off"
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    for name in ("PROGFLAGS_FILE", "PROGFLAGS_STORE", "PROGFLAGS_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "flags.toml"
    path.write_text(FILE)
    return path


def run(*words):
    return main(["--flags", "flags.toml", "promote", *words])


def test_it_shows_every_difference_and_who_moves_and_writes_them(file, capsys):
    assert run("staging", "production", "--dry-run") == 0
    assert file.read_text() == FILE
    said = capsys.readouterr().out
    assert said.startswith('a.percent: 10 → 100\nb.serve: – → "off"\nnote: segments.staff differs too, and stays as it is in production\n')
    assert "in production:\n  a: changed (rules)\n    off → on: 89.88 % of the units\n" in said
    assert "nothing was written (--dry-run)" in said

    assert run("staging", "production", "a") == 0
    assert tomllib.loads(file.read_text())["environments"]["production"] == {"flags": {"a": {"percent": 100}}}
    assert "# nothing is otherwise here\n[environments.production]\n" in file.read_text()
    assert "b." not in capsys.readouterr().out.split("---")[0]

    assert run("staging", "production", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["differences"] == [{"flag": "b", "key": "serve", "to": "off"}]
    assert (told["written"], told["kept"]) == (True, ["segments.staff"])

    assert run("staging", "production") == 0
    assert "it says so already, nothing was written" in capsys.readouterr().out


def test_what_production_said_is_taken_back_and_it_stays_declared(file):
    file.write_text(
        FILE.replace("# nothing is otherwise here\n[environments.production]\n", '[environments.production.flags.b]\nserve = "on"\n')
    )
    assert run("production", "staging", "b") == 0
    assert run("test", "production") == 2
    file.write_text(
        FILE.replace('[environments.staging.flags.b]\nserve = "off"\n', "").replace(
            "[environments.production]", '[environments.production.flags.b]\nserve = "on"'
        )
    )
    assert run("staging", "production", "b") == 0
    found = tomllib.loads(file.read_text())
    assert found["environments"]["production"] == {}
    assert "flags.b]" in file.read_text()


def test_a_flag_of_which_nothing_is_said_is_one_all_the_same(file):
    """Its only table goes, in which alone it stood."""
    file.write_text(FILE + "\n[environments.staging.flags.c]\n\n[environments.production.flags.c.metadata]\nx = 1\n")
    assert run("staging", "production", "c") == 0
    assert tomllib.loads(file.read_text())["environments"]["production"] == {"flags": {"c": {}}}


def test_a_flag_that_only_production_has_stays_unless_it_is_named(file, capsys):
    file.write_text(FILE + "\n[environments.production.flags.valve]\npercent = 100\n")
    assert run("staging", "production") == 0
    assert "note: only production has valve, and keeps it; name it to take it away" in capsys.readouterr().out
    assert "[environments.production.flags.valve]" in file.read_text()
    assert run("staging", "production", "valve") == 0
    assert "valve" not in file.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["staging", "prodution"], "there is no environment 'prodution' (did you mean 'production'?)"),
        (["staging", "staging"], "name two environments"),
        (["staging", "production", "aa"], "there is no flag 'aa' in staging or production"),
        (["staging", "production", "--environment", "test"], "leave --environment out"),
    ],
)
def test_what_is_no_pair_of_environments_is_refused(file, capsys, words, said):
    assert run(*words) == 2
    assert said in capsys.readouterr().err
    assert file.read_text() == FILE


def test_what_would_be_wrong_in_production_is_refused(file, capsys):
    """A rule asks for a segment that staging alone has."""
    file.write_text(
        FILE
        + "\n[environments.staging.segments.testers]\nwhen = 'tester'\n\n[environments.staging.flags.c]\nrules = [{ when = 'segment(\"testers\")' }]\n"
    )
    before = file.read_text()
    assert run("staging", "production") == 2
    assert "environments.production.flags.c.rules[0].when" in capsys.readouterr().err
    assert file.read_text() == before


def test_over_several_files_each_says_its_own_flags(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "flags"
    place.mkdir()
    (place / "a.toml").write_text("[flags.a]\npercent = 1\n[environments.production]\n[environments.staging.flags.a]\npercent = 2\n")
    (place / "b.yaml").write_text(
        "flags:\n  b: {percent: 1}\nenvironments:\n  production:\n    flags:\n      b: {percent: 7}   # b\n  staging: {}\n"
    )
    assert main(["--flags", "flags", "promote", "staging", "production"]) == 0
    assert "[environments.production.flags.a]\npercent = 2\n" in (place / "a.toml").read_text()
    assert "production:\n    flags: {}\n" in (place / "b.yaml").read_text()
