"""One document for several environments: what is laid over it, where its mistakes are, and whom a change concerns."""

import copy
import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

import progflags as pf
from progflags.errors import DefinitionError
from progflags.events import Reloaded
from progflags.sources import EnvSource, Loader, Piece, environments, place_of, push, source_of
from progflags.sources._merge import assemble
from progflags.store import MemoryStore

FILE = """\
[segments.staff]
when = 'email endswith "@example.com"'

[flags.checkout]
description = "One page"
variants = { old = { page = 1, tax = true }, new = { page = 2, tax = true } }
default = "old"
serve = "new"
percent = 10

[[flags.checkout.rules]]
when = 'segment("staff")'
serve = "new"

[flags.search]
rollout = { profile = "high", watch = "48h" }

[flags.banner]

[environments.production]

[environments.staging.segments.staff]
when = 'email endswith "@test.example.com"'

[environments.staging.flags.checkout]
percent = 50
variants = { new = { page = 3 }, newest = { page = 4 } }

[environments.staging.flags.search]
percent = 100

[environments.staging.flags.banner]
enabled = false
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "flags.toml"
    path.write_text(FILE)
    return path


def loaded(source: Any, environment: str = "") -> Any:
    return Loader(source_of(source), environment=environment).first()


def problems(source: Any, environment: str = "") -> list[str]:
    try:
        return [str(problem) for problem in loaded(source, environment).rejected]
    except DefinitionError as error:
        return [str(problem) for problem in error.problems]


# What an environment has otherwise.


def test_without_an_environment_the_document_stands_alone(file: Path) -> None:
    """No environment says anything, and its digest is that of a file that has none."""
    snapshot = loaded(file)
    file.write_text(FILE.partition("[environments")[0])

    assert snapshot.flags["checkout"].rules[-1].share == 100_000
    assert snapshot == loaded(file)


def test_an_environment_is_laid_over_the_document(file: Path) -> None:
    """What it says is otherwise, what it doesn't say is as ever."""
    checkout = loaded(file, "staging").flags["checkout"]

    assert checkout.rules[-1].share == 500_000
    assert checkout.description == "One page"
    assert len(checkout.rules) == 2
    assert loaded(file, "staging").flags["banner"].enabled is False


def test_variants_are_merged_by_name_and_a_variants_value_is_one_value(file: Path) -> None:
    """Half of a value from here and half from there would be a third one."""
    assert loaded(file, "staging").flags["checkout"].variants == {
        "old": {"page": 1, "tax": True},
        "new": {"page": 3},
        "newest": {"page": 4},
    }


def test_lists_are_replaced(file: Path) -> None:
    """Rules are read in their order: two lists in one would be another order each time."""
    file.write_text(FILE + '\n[[environments.production.flags.checkout.rules]]\nwhen = \'plan == "pro"\'\nserve = "new"\n')
    rules = loaded(file, "production").flags["checkout"].rules

    assert [rule.name for rule in rules] == ["rule 1", "everybody"]
    assert loaded(file, "staging").flags["checkout"].rules != rules


@pytest.mark.parametrize(
    ("base", "over", "effective"),
    [
        ({"rollout": {"profile": "high"}}, {"percent": 100}, {"percent": 100}),
        ({"rollout": {"profile": "high"}, "owner": "x"}, {"from": "2098-01-01"}, {"owner": "x", "from": "2098-01-01"}),
        ({"percent": 5, "serve": "on"}, {"rollout": {"profile": "low"}}, {"rollout": {"profile": "low"}}),
        ({"ramp": {"from": "2098-01-01", "until": "2098-01-02"}}, {"percent": 5}, {"percent": 5}),
        ({"serve": "on", "percent": 5}, {"split": {"on": 1, "off": 1}}, {"split": {"on": 1, "off": 1}, "percent": 5}),
        ({"split": {"on": 1, "off": 9}}, {"split": {"off": 1}}, {"split": {"off": 1}}),
        (
            {"rollout": {"profile": "high", "approval": {"before": [10]}}},
            {"rollout": {"watch": "1h", "approval": {"two_person": True}}},
            {"rollout": {"profile": "high", "watch": "1h", "approval": {"two_person": True}}},
        ),
        ({"metadata": {"a": 1, "b": 2}}, {"metadata": {"b": 3}}, {"metadata": {"a": 1, "b": 3}}),
    ],
)
def test_what_can_not_be_said_at_once_takes_each_others_place(base: Any, over: Any, effective: Any) -> None:
    """So that nothing need be taken away before another way to serve it is said."""
    there = loaded({"flags": {"a": base}, "environments": {"staging": {"flags": {"a": over}}}}, "staging")

    assert there.flags == loaded({"flags": {"a": effective}}).flags
    assert there.digest == loaded({"flags": {"a": effective}}).digest


def test_every_section_can_be_otherwise() -> None:
    """Segments, groups, holdouts, attributes, profiles and channels as well, and new entries may come."""
    base: dict[str, Any] = {
        "flags": {"a": {"holdout": "q", "group": "g"}},
        "holdouts": {"q": {"percent": 2}},
        "groups": {"g": {"slots": {"a": 50}}},
        "context": {"plan": "str"},
        "profiles": {"pay-*": "high"},
        "notify": {"team": {"slack": "env:X", "severity": "warning"}},
    }
    over = {
        "flags": {"b": {}},
        "holdouts": {"q": {"percent": 0}},
        "groups": {"g": {"slots": {"a": 100}}},
        "context": {"plan": "int"},
        "profiles": {"pay-*": "low"},
        "notify": {"team": {"slack": "env:Y"}},
    }
    snapshot = loaded({**base, "environments": {"staging": over}}, "staging")

    assert set(snapshot.flags) == {"a", "b"}
    assert snapshot.flags["a"].holdout.share == 0
    assert snapshot.flags["a"].slot.end == 1_000_000
    assert snapshot.attributes == {"plan": "int"}
    assert snapshot.profiles == {"pay-*": "low"}
    assert snapshot.notify["team"].data == {"slack": "env:Y", "severity": "warning"}


def test_buckets_do_not_depend_on_the_environment() -> None:
    """Whoever is in at a share in one is in at it in the other."""
    document = {
        "flags": {"a": {"percent": 30}},
        "environments": {"x": {"flags": {"a": {"percent": 60}}}, "y": {"flags": {"a": {"percent": 30}}}},
    }
    inside = {}
    for environment in ("", "x", "y"):
        with pf.connect(document, environment=environment, poll=None) as flags:
            inside[environment] = {unit for unit in map(str, range(500)) if flags.is_enabled("a", unit)}

    assert inside[""] == inside["y"] < inside["x"]


def test_a_dict_stays_what_it_is() -> None:
    """It is somebody's own, and looked at again."""
    document = {
        "flags": {"a": {"variants": {"x": "x", "y": "y"}, "default": "x"}},
        "environments": {"s": {"flags": {"a": {"default": "y", "variants": {"z": "z"}}}}},
    }
    before = copy.deepcopy(document)

    assert loaded(document, "s").flags["a"].default == "y"
    assert document == before


# Which environment.


def test_connect_takes_the_variable_and_says_which_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named in code goes before it, and an empty name is none."""
    monkeypatch.setenv("PROGFLAGS_ENVIRONMENT", "staging")
    for named, expected in ((None, "staging"), ("production", "production"), ("", "")):
        with pf.connect(file, environment=named, poll=None) as flags:
            assert flags.status().environment == flags.status().to_dict()["environment"] == expected
            assert flags.definitions is not None
            assert flags.definitions.environment == expected
            assert (" in staging, " in str(flags.status())) is (expected == "staging")


def test_an_environment_that_nobody_declares_is_refused(file: Path) -> None:
    """A misspelling must not serve what production has."""
    assert problems(file, "stagin") == [f"{file}: environments: there is no environment 'stagin' (did you mean 'staging'?)"]
    assert problems(file, "qa") == [f"{file}: environments: there is no environment 'qa' (known: production, staging)"]
    assert problems({"flags": {}}, "qa") == [
        "<dict>: environments: there is no environment 'qa' (declare it in the flag file: [environments.qa], an empty table will do)"
    ]


def test_an_environment_is_a_name(file: Path) -> None:
    """Not a list of them."""
    with pytest.raises(ValueError, match="environment is the name of one that the flag file declares"):
        pf.connect(file, environment=["staging"])  # type: ignore[arg-type]


def test_a_variable_of_a_flag_stands_above_the_environment(file: Path) -> None:
    """It is of one process; what it says of a flag that only the environment has, too."""
    file.write_text(FILE + "\n[environments.staging.flags.only-here]\n")
    variables = EnvSource({"PROGFLAGS_FLAG_BANNER": "on", "PROGFLAGS_FLAG_ONLY_HERE": "25%", "PROGFLAGS_FLAG_SEARCH": "off"})
    flags = loaded([file, variables], "staging").flags

    assert (flags["banner"].default, flags["search"].default, flags["search"].rules) == ("on", "off", ())
    assert flags["only-here"].rules[-1].share == 250_000


def test_an_environment_that_goes_away_leaves_the_last_good_definitions(file: Path) -> None:
    """An edit that loses the table must not make staging production."""
    with pf.connect(file, environment="staging", poll=None) as flags:
        file.write_text(FILE.replace("environments.staging", "environments.testing"))
        flags.refresh()

        assert flags.status().state == "STALE"
        assert not flags.is_enabled("banner", "user")


# Where a mistake is.


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            "[environments.staging.flags.a]\npercnt = 3",
            "7: environments.staging.flags.a.percnt: unknown key 'percnt' (did you mean 'percent'?)",
        ),
        (
            "[environments.staging.flags.a]\nrules = [{ when = 'x', serve = 'no' }]",
            "7: environments.staging.flags.a.rules[0].serve: there is no variant 'no' (known: off, on)",
        ),
        ("[environments.staging]\nflgs = {}", "7: environments.staging.flgs: unknown key 'flgs' (did you mean 'flags'?)"),
        ("[environments.staging]\nsegments = 3", "7: environments.staging.segments: a table is wanted here, not 3"),
        (
            "[environments.staging.flags.new]\nvariants = { x = 'x', y = 'y' }",
            "6: environments.staging.flags.new: 'default' is missing: the variant when no rule matched (known: x, y)",
        ),
        (
            "[environments.staging.flags.a]\nfrom = 2098-01-02\nuntil = 2098-01-01",
            "8: environments.staging.flags.a.until: 'until' is not after 'from'",
        ),
        ("[environments.staging.segments.s]\nwhen = 'x ='", "7: environments.staging.segments.s.when: "),
        ("[environments.staging.holdouts.h]\n", "6: environments.staging.holdouts.h: 'percent' is missing"),
        ("[environments.staging.environments.x]", "6: environments.staging.environments: an environment has no environments of its own"),
        ("[environments]\nstaging = 3", "7: environments.staging: a table is wanted here (write [environments.staging.flags.my-flag])"),
    ],
)
@pytest.mark.parametrize("form", ["file", "folder"])
def test_a_mistake_in_an_environment_is_named_in_it(tmp_path: Path, form: str, lines: str, expected: str) -> None:
    """File, line and key are where somebody wrote it; without the environment nothing is wrong."""
    path = tmp_path / "flags.toml"
    path.write_text(f"[flags.a]\nowner = 'x'\n\n# staging\n\n{lines}\n")
    source: Path = path
    if form == "folder":
        (tmp_path / "other.toml").write_text("[flags.b]\n[environments.staging.flags.b]\npercent = 3\n")
        source = tmp_path

    assert problems(source) == []
    (found,) = problems(source, "staging")
    assert found.startswith(f"{path}:{expected}")


def test_a_mistake_in_the_document_is_named_there(tmp_path: Path) -> None:
    """Also of a flag that an environment has something to say of."""
    path = tmp_path / "flags.toml"
    path.write_text("[flags.a]\nexpires = 'soon'\n[environments.staging.flags.a]\npercent = 3\n")

    assert problems(path, "staging") == problems(path)
    assert problems(path)[0].startswith(f"{path}:2: flags.a.expires: ")


def test_another_environments_mistake_concerns_nobody_here(tmp_path: Path) -> None:
    """Production loads what it has; `validate` says the rest."""
    path = tmp_path / "flags.toml"
    path.write_text("[flags.a]\n[environments.production]\n[environments.staging.flags.a]\npercent = 300\n")

    assert problems(path, "production") == []
    assert len(problems(path, "staging")) == 1


def test_a_rollout_that_can_not_start_is_named_where_it_was_written(tmp_path: Path) -> None:
    """The plan is made later; it still knows which environment said so."""
    path = tmp_path / "flags.toml"
    path.write_text("[flags.a.rollout]\nprofile = 'low'\n[environments.staging.flags.a.rollout]\nwatch = '1h'\nprofile = 'lo'\n")
    with pf.connect(path, environment="staging", poll=None) as flags:
        (warning,) = flags.status().warnings

    assert str(warning).startswith(f"{path}:5: environments.staging.flags.a.rollout.profile: there is no profile 'lo'")


# Several files, and layers.


def test_the_files_of_a_folder_say_one_thing_together(tmp_path: Path) -> None:
    """One may be the environment's alone, and speak of flags that others define."""
    (tmp_path / "cart.toml").write_text("[flags.cart]\npercent = 1\n[environments.staging.flags.cart]\nowner = 'x'\n")
    (tmp_path / "search.json").write_text('{"flags": {"search": {}}, "environments": {"staging": {"flags": {"search": {"percent": 2}}}}}')
    (tmp_path / "staging.yaml").write_text("environments:\n  staging:\n    flags:\n      third: {percent: 3}\n")
    (tmp_path / "third.toml").write_text("[flags.third]\n")
    flags = loaded(tmp_path, "staging").flags

    assert flags["cart"].owner == "x"
    assert [flags[key].rules[0].share for key in ("cart", "search", "third")] == [10_000, 20_000, 30_000]


def test_two_files_that_say_the_same_of_an_environment_are_refused(tmp_path: Path) -> None:
    """With both places."""
    (tmp_path / "a.toml").write_text("[flags.cart]\n[environments.staging.flags.cart]\npercent = 1\n")
    (tmp_path / "b.toml").write_text("[environments.staging.flags.cart]\npercent = 1\n")

    assert problems(tmp_path, "staging") == [
        f"{tmp_path}/b.toml:1: environments.staging.flags.cart: defined already in {tmp_path}/a.toml:2 (keep one of the two)"
    ]


def test_a_layers_environment_is_laid_over_what_is_below_it() -> None:
    """And a higher layer's flag still replaces a lower one's whole, with what the lower layer's environment said of it."""
    low = {
        "flags": {"a": {"owner": "low"}, "b": {"owner": "low"}, "c": {}},
        "environments": {"s": {"flags": {"a": {"percent": 1}, "b": {"percent": 1}, "c": {"percent": 300}}}},
    }
    high = {"flags": {"b": {"percent": 7}, "c": {}}, "environments": {"s": {"flags": {"a": {"percent": 2}}}}}
    snapshot = loaded([low, high], "s")

    assert (snapshot.flags["a"].owner, snapshot.flags["a"].rules[0].share) == ("low", 20_000)
    assert (snapshot.flags["b"].owner, snapshot.flags["b"].rules[0].share) == (None, 70_000)
    assert snapshot.rejected == ()


def test_a_mistake_of_a_higher_layer_is_its_own() -> None:
    """Not of what a lower layer's environment said of the flag before it was replaced."""
    low = {"flags": {"a": {}}, "environments": {"s": {"flags": {"a": {"percent": 5}}}}}
    high = {"flags": {"a": {"percent": 400}}}

    assert [problem.key for problem in loaded([low, high], "s").rejected] == ["flags.a.percent"]


def test_every_layer_may_declare_it_and_one_must(tmp_path: Path) -> None:
    """A file that is shared by everybody knows nothing of it."""
    (tmp_path / "a.toml").write_text("[flags.a]\n")
    assert loaded([tmp_path / "a.toml", {"environments": {"qa": {}}}], "qa").environment == "qa"
    assert environments(source_of([tmp_path / "a.toml", {"environments": {"qa": {}}}]).read()) == ("qa",)


# Whom a change concerns.


def test_a_change_in_another_environment_is_no_news_here(file: Path) -> None:
    """The digest is that of what serves; nobody is told, nothing is written down."""
    with pf.connect(file, environment="production", poll=None) as flags:
        told: list[Reloaded] = []
        flags.bus.listen(Reloaded, told.append)
        before = flags.refresh()
        file.write_text(FILE.replace("percent = 50", "percent = 60"))

        assert flags.refresh() == before
        assert told == []
        assert flags.changes("checkout") == ()

        file.write_text(FILE.replace("percent = 10", "percent = 20"))
        assert flags.refresh() != before
        assert [change.reason for change in flags.changes("checkout")] == ["changed: rules"]
        assert len(told) == 1


def test_two_environments_at_one_store_each_have_their_changes(file: Path) -> None:
    """Each process notes what became of what it serves; neither hides the other's."""
    store = MemoryStore("memory://shared")
    with (
        pf.connect(file, environment="production", store=store, poll=None) as one,
        pf.connect(file, environment="staging", store=store, poll=None) as other,
    ):
        file.write_text(FILE.replace("percent = 10", "percent = 20").replace("percent = 50", "percent = 60"))
        for flags in (one, other):
            flags.refresh()

        told = {change.source: change.reason for change in one.changes("checkout")}

    assert told == {f"{file} (production)": "changed: rules", f"{file} (staging)": "changed: rules"}


# Pushed, published, kept.


def test_the_store_has_the_whole_document_and_each_process_its_environment(file: Path) -> None:
    """Pushed once; what was changed in one of them stands in the history."""
    store = MemoryStore()
    push(store, source_of(file).read())
    file.write_text(FILE.replace("percent = 50", "percent = 60"))
    push(store, source_of(file).read())

    with pf.connect(store=store, environment="staging", poll=None) as flags:
        assert flags.definitions is not None
        assert flags.definitions.flags["checkout"].rules[-1].share == 600_000
        assert [change.reason for change in flags.changes("checkout")] == ["changed: rules (in staging)"]


def test_a_push_is_good_in_every_environment_or_is_none(file: Path) -> None:
    """Whoever pushes is told, not whoever serves."""
    file.write_text(FILE + "\n[environments.production.flags.banner]\npercent = 300\n")
    with pytest.raises(DefinitionError, match=r"environments\.production\.flags\.banner\.percent"):
        push(MemoryStore(), source_of(file).read())


def test_a_persisted_last_known_good_serves_its_environment(file: Path, tmp_path: Path) -> None:
    """What is kept is the document; the process says where it is."""
    with pf.connect(file, environment="staging", last_known_good=tmp_path / "kept", poll=None):
        pass
    file.unlink()
    with pf.connect(file, environment="staging", last_known_good=tmp_path / "kept", poll=None) as flags:
        assert flags.definitions is not None
        assert flags.definitions.flags["checkout"].rules[-1].share == 500_000


def test_a_published_snapshot_has_every_environment(file: Path, tmp_path: Path) -> None:
    """Whoever follows it says which."""
    from progflags.contrib._snapshot import Snapshot
    from progflags.contrib.publish import Publisher

    publisher = Publisher(file, store=MemoryStore(), to=tmp_path / "snapshot.json")
    pieces = Snapshot.of(publisher.publish().text()).pieces
    assert assemble("x", pieces, None, "staging").flags == loaded(file, "staging").flags

    file.write_text(FILE + "\n[environments.production.flags.banner]\npercent = 300\n")
    with pytest.raises(DefinitionError, match=r"environments\.production"):
        Publisher(file, store=MemoryStore(), to=tmp_path / "other.json").publish()


def test_a_place_is_found_in_its_file_and_environment(file: Path) -> None:
    """For whoever has something to say of a path later."""
    problem = place_of(str(file), source_of(file).read(), "staging")

    assert (problem(("flags", "checkout", "percent"), "x").key, problem(("flags", "checkout", "percent"), "x").line) == (
        "environments.staging.flags.checkout.percent",
        26,
    )
    assert (problem(("flags", "checkout", "default"), "x").key, problem(("flags", "checkout", "default"), "x").line) == (
        "flags.checkout.default",
        7,
    )


# Properties.

KEYS = st.sampled_from("abcde")
FLAG = st.fixed_dictionaries(
    {},
    optional={
        "percent": st.integers(0, 100),
        "owner": st.sampled_from(["x", "y"]),
        "enabled": st.booleans(),
        "rules": st.lists(st.sampled_from([{"when": 'p == "x"', "serve": "on"}, {"when": "q", "percent": 5}]), max_size=2),
        "metadata": st.dictionaries(KEYS, st.integers(0, 3), max_size=2),
    },
)
FLAGS = st.dictionaries(KEYS, FLAG, max_size=4)


@given(FLAGS)
def test_laying_nothing_over_a_document_is_the_document(flags: Any) -> None:
    """Whether the environment says nothing, or nothing else."""
    base = loaded({"flags": flags})
    for over in ({}, {"flags": {}}, {"flags": {key: {} for key in flags}}, {"flags": flags}):
        there = loaded({"flags": flags, "environments": {"s": over}}, "s")
        assert (there.flags, there.digest) == (base.flags, base.digest)


@given(FLAGS, FLAGS, st.permutations(range(6)), st.lists(st.integers(0, 5), min_size=10, max_size=10))
def test_it_does_not_matter_how_a_set_is_cut_into_files(flags: Any, over: Any, order: list[int], cut: list[int]) -> None:
    """One file, or six in any order with every flag and every overlay in one of them, are the same definitions."""
    whole = loaded({"flags": flags, "environments": {"s": {"flags": over}}}, "s")
    files: list[dict[str, Any]] = [{"flags": {}, "environments": {"s": {"flags": {}}}} for _ in range(6)]
    for at, (key, flag) in enumerate(flags.items()):
        files[cut[at]]["flags"][key] = flag
    for at, (key, flag) in enumerate(over.items()):
        files[cut[5 + at]]["environments"]["s"]["flags"][key] = flag
    pieces = [Piece(f"{at}.json", "json", json.dumps(files[at]).encode()) for at in order]
    found = assemble("folder", pieces, None, "s")

    assert (found.flags, found.digest) == (whole.flags, whole.digest)


@given(FLAGS, FLAGS, KEYS, st.fixed_dictionaries({}, optional={"p": st.sampled_from(["x", "y"]), "q": st.booleans()}))
def test_explain_agrees_with_evaluate_in_an_environment(flags: Any, over: Any, key: str, attributes: dict[str, Any]) -> None:
    """As it does without."""
    with pf.connect({"flags": flags, "environments": {"s": {"flags": over}}}, environment="s", poll=None) as client:
        who = pf.Context("user", attributes)
        assert client.explain(key, who).evaluation == client.evaluate(key, None, who)
