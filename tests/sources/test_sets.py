"""Several pieces as one set: folders, layers, the environment, and definitions held by the store."""

import json
import os

import pytest

from progflags.errors import ConflictError, DefinitionError, StoreError
from progflags.events import Bus
from progflags.flags import Client
from progflags.sources import DictSource, DirectorySource, EnvSource, FileSource, Layered, Loader, Piece, StoreSource, push, source_of
from progflags.sources._env import variable
from progflags.store import Commit, MemoryStore
from progflags.testing import ManualClock


def rush(seconds):
    """No pause between two reads."""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "search.toml").write_text("[flags.search]\npercent = 10\n")
    (tmp_path / "cart.json").write_text('{"flags": {"cart": {"percent": 20, "requires": [{"flag": "search", "is": "on"}]}}}')
    (tmp_path / "ledger.yaml").write_text("flags:\n  ledger:\n    rollout: {profile: standard}\n")
    return tmp_path


@pytest.fixture
def loader(folder):
    return Loader(DirectorySource(folder, pause=rush))


def shares(snapshot):
    return {key: flag.rules[-1].share if flag.rules else None for key, flag in snapshot.flags.items()}


# A folder.


def test_a_folder_is_one_set_across_files_and_forms(loader):
    """A flag in one file may require one of another."""
    snapshot = loader.first()
    assert shares(snapshot) == {"cart": 200_000, "ledger": None, "search": 100_000}
    assert snapshot.rejected == ()


def test_hidden_files_backups_and_others_are_not_of_the_set(folder, loader):
    """What editors and mounts leave lying about."""
    for name in (".search.toml.swp", ".#cart.json", "search.toml~", "cart.json.bak", "README.md", ".hidden.toml"):
        (folder / name).write_text("[[[")
    (folder / "..data").mkdir()
    assert len(loader.first().flags) == 3


def test_one_bad_file_leaves_the_whole_set_as_it_was(folder, loader):
    """Half a deployment does not apply: the good change beside it waits."""
    loader.first()
    (folder / "search.toml").write_text("[flags.search]\npercent = 99\n")
    (folder / "cart.json").write_text('{"flags": ')
    refused = loader.load()
    assert refused.stale
    assert refused.problems[0].file == str(folder / "cart.json")

    (folder / "cart.json").write_text('{"flags": {"cart": {"percent": 21}}}')
    assert shares(loader.load().snapshot) == {"cart": 210_000, "ledger": None, "search": 990_000}


def test_a_set_that_changes_between_two_reads_is_read_again(folder):
    """All files as of one moment, or the next."""
    (folder / "search.toml").write_text("[flags.search]\npercent = 1\n")
    writes = [("cart.json", '{"flags": {"cart": {"percent": 1}}}'), ("ledger.yaml", "flags: {ledger: {percent: 1}}\n")]

    def meanwhile(seconds):
        if writes:
            name, text = writes.pop(0)
            (folder / name).write_text(text)

    snapshot = Loader(DirectorySource(folder, pause=meanwhile)).first()
    assert set(shares(snapshot).values()) == {10_000}


def test_a_flag_in_two_files_is_refused_with_both_places(folder):
    """Which one wins would depend on a file's name."""
    (folder / "zz.toml").write_text("\n\n[flags.search]\npercent = 50\n")
    with pytest.raises(DefinitionError) as caught:
        Loader(DirectorySource(folder, pause=rush)).first()
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.key) == (str(folder / "zz.toml"), 3, "flags.search")
    assert f"{folder / 'search.toml'}:1" in problem.message


def test_problems_are_given_back_to_the_file_they_lie_in(folder):
    """A rejected flag's, and those a rollout's plan finds later."""
    (folder / "search.toml").write_text("[flags.search]\npercent = 10\nownr = 'me'\n")
    snapshot = Loader(DirectorySource(folder, pause=rush)).first()

    (problem, *_) = [problem for problem in snapshot.rejected if problem.key.startswith("flags.search")]
    assert (problem.file, problem.line) == (str(folder / "search.toml"), 3)
    later = snapshot.flags["ledger"].rollout.problem(("profile",), "unknown")
    assert (later.file, later.line) == (str(folder / "ledger.yaml"), 3)


def test_a_file_gone_from_the_folder_is_a_loss_like_another(folder, loader):
    """One of three may go; two at once need to be retired."""
    loader.first()
    (folder / "search.toml").rename(folder / "search.aside")
    (folder / "ledger.yaml").rename(folder / "ledger.aside")
    held = loader.load()
    assert held.stale
    assert "2 of 3 flags are missing: ledger, search" in str(held.problems[0])

    (folder / "retired.toml").write_text('retired = ["search", "ledger"]\n')
    (folder / "cart.json").write_text('{"flags": {"cart": {}}}')
    assert list(loader.load().snapshot.flags) == ["cart"]


def test_a_file_cut_off_in_the_folder_is_held_back(folder, loader):
    """Although the set as a whole lost little."""
    (folder / "search.toml").write_text("[flags.search]\npercent = 10\n[flags.last]\n")
    loader.first()
    (folder / "search.toml").write_text("[flags.search]\npercent = 1")
    held = loader.load()
    assert held.stale
    assert held.problems[0].file == str(folder / "search.toml")


def test_an_empty_folder_is_no_set(tmp_path):
    """A mount that is not there yet."""
    with pytest.raises(DefinitionError, match="no flag file in this folder"):
        Loader(DirectorySource(tmp_path)).first()


def test_retired_lists_of_several_files_add_up(folder):
    """Each team buries its own."""
    (folder / "cart.json").write_text('{"retired": ["old-cart"], "flags": {"cart": {}}}')
    (folder / "search.toml").write_text('retired = ["old-search"]\n[flags.search]\n')
    assert Loader(DirectorySource(folder, pause=rush)).first().retired == {"old-cart", "old-search"}


# Layers.


def test_a_higher_layer_replaces_a_lower_ones_flag_whole():
    """Nothing of the lower definition shines through."""
    base = {"segments": {"s": {"when": "x"}}, "flags": {"a": {"percent": 10, "owner": "x"}, "b": {"percent": 10}}}
    top = {"flags": {"a": {"default": "on"}}}
    snapshot = Loader(source_of([base, top])).first()

    assert shares(snapshot) == {"a": None, "b": 100_000}
    assert snapshot.flags["a"].owner is None


def test_layers_load_together_or_not_at_all(tmp_path):
    """A bad top leaves the good bottom's change waiting."""
    base, top = tmp_path / "base.toml", tmp_path / "top.toml"
    base.write_text("[flags.a]\npercent = 10\n")
    top.write_text("[flags.b]\npercent = 10\n")
    loader = Loader(Layered(FileSource(base, pause=rush), FileSource(top, pause=rush)))
    loader.first()
    base.write_text("[flags.a]\npercent = 20\n")
    top.unlink()
    assert loader.load().stale
    top.write_text("[flags.b]\npercent = 11\n")
    assert shares(loader.load().snapshot) == {"a": 200_000, "b": 110_000}


@pytest.mark.parametrize("what", [None, 3, [], b"flags.toml", {1, 2}])
def test_what_is_no_source_is_refused(what):
    """With the list of what is."""
    with pytest.raises(TypeError, match="a path, a dict, a Source or a list"):
        source_of(what)


def test_a_dict_is_looked_at_again():
    """Change it, refresh, and it serves."""
    document = {"flags": {"a": {"percent": 10}}}
    loader = Loader(source_of(document))
    loader.first()
    assert loader.load().snapshot is None
    document["flags"]["a"]["percent"] = 20
    assert shares(loader.load().snapshot) == {"a": 200_000}


def test_a_dict_that_contains_itself_is_no_document():
    """No RecursionError escapes."""
    document = {"flags": {}}
    document["flags"]["a"] = document
    with pytest.raises(DefinitionError, match="nothing contains itself"):
        Loader(source_of(document)).first()


@pytest.mark.parametrize("form", ["json", "toml", "dict"])
def test_a_document_deeper_than_32_levels_is_refused(form, tmp_path):
    """By its depth, with its line, before anybody walks it."""
    deep = {"x": 1}
    for _ in range(40):
        deep = {"x": deep}
    document = {"flags": {"a": {"variants": {"v": deep}, "default": "v"}}}
    path = tmp_path / f"flags.{form}"
    if form == "json":
        path.write_text(json.dumps(document, indent=1))
    elif form == "toml":
        path.write_text("[flags.a]\ndefault = 'v'\nvariants.v = " + "{ x = " * 40 + "1" + " }" * 40 + "\n")
    with pytest.raises(DefinitionError, match="nested deeper than 32 levels") as caught:
        Loader(source_of(document if form == "dict" else path)).first()
    assert caught.value.problems[0].line == {"json": 33, "toml": 3, "dict": None}[form]


@pytest.mark.parametrize("name", ["a.json", "a.toml", "a.yaml"])
def test_a_thousand_levels_are_refused_without_a_recursion_error(name, tmp_path):
    """Or a crash of the interpreter."""
    opening = {"a.json": '{"flags": ', "a.toml": "flags = ", "a.yaml": "flags: "}[name]
    (tmp_path / name).write_text(opening + "[" * 100_000)
    with pytest.raises(DefinitionError):
        Loader(source_of(tmp_path / name)).first()


# The environment.


BASE = {
    "flags": {
        "new-search": {"percent": 25, "owner": "x"},
        "flow": {"variants": {"classic": "c", "fast": "f"}, "default": "classic", "rules": [{"when": "x", "serve": "fast"}]},
        "Big.Checkout_2": {"rollout": {"profile": "standard"}},
    }
}


def with_environment(**variables):
    return Loader(Layered(DictSource(BASE), EnvSource({**variables, "PATH": "/bin", "PROGFLAGS_PANIC": "1"}))).first()


def test_a_variable_names_the_variant_for_everybody():
    """Rules, percentage and rollout of the file are gone; the rest stands."""
    snapshot = with_environment(PROGFLAGS_FLAG_NEW_SEARCH="on", PROGFLAGS_FLAG_FLOW="fast", PROGFLAGS_FLAG_BIG_CHECKOUT_2="off")
    assert {key: (flag.default, flag.rules, flag.rollout) for key, flag in snapshot.flags.items()} == {
        "new-search": ("on", (), None),
        "flow": ("fast", (), None),
        "Big.Checkout_2": ("off", (), None),
    }
    assert snapshot.flags["new-search"].owner == "x"
    assert snapshot.rejected == ()


@pytest.mark.parametrize(("value", "default"), [("on", "on"), ("TRUE", "on"), ("false", "off"), (" Off ", "off")])
def test_a_boolean_flag_takes_the_usual_words(value, default):
    """Whatever their case."""
    assert with_environment(PROGFLAGS_FLAG_NEW_SEARCH=value).flags["new-search"].default == default


def test_a_boolean_flag_takes_a_percentage():
    """Of everybody, on the flag's own salt."""
    assert shares(with_environment(PROGFLAGS_FLAG_NEW_SEARCH="2.5%"))["new-search"] == 25_000


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PROGFLAGS_FLAG_FLOW", "slow", "'slow' is no variant of it: classic, fast"),
        ("PROGFLAGS_FLAG_NEW_SEARCH", "maybe", "neither on, off nor a percentage"),
        ("PROGFLAGS_FLAG_NEW_SEARCH", "200x%", "neither on, off nor a percentage"),
        ("PROGFLAGS_FLAG_NEW_SERCH", "on", "there is no such flag"),
    ],
)
def test_a_wrong_variable_changes_nothing_and_is_reported(name, value, message):
    """The flag serves as the file has it; the problem names the variable."""
    snapshot = with_environment(**{name: value})
    assert shares(snapshot) == shares(with_environment())
    (problem,) = snapshot.rejected
    assert problem.key == name
    assert message in problem.message


def test_a_percentage_beyond_a_hundred_is_the_formats_to_refuse():
    """The flag keeps nothing of it."""
    snapshot = with_environment(PROGFLAGS_FLAG_NEW_SEARCH="101%")
    assert "0 to 100" in str(snapshot.rejected[0])


def test_the_variable_of_a_key():
    """Upper case, every other sign an underscore."""
    assert [variable(key) for key in ("new-search", "a.b_c", "Ü1")] == [
        "PROGFLAGS_FLAG_NEW_SEARCH",
        "PROGFLAGS_FLAG_A_B_C",
        "PROGFLAGS_FLAG__1",
    ]


def test_the_process_environment_is_read_at_every_look(monkeypatch):
    """A program may change its own."""
    loader = Loader(source_of([BASE, EnvSource()]))
    loader.first()
    monkeypatch.setitem(os.environ, "PROGFLAGS_FLAG_NEW_SEARCH", "on")
    assert loader.load().snapshot.flags["new-search"].default == "on"


# Definitions in the store.


def piece(text, file="flags.toml"):
    return (Piece(file, "toml", text.encode()),)


def test_what_is_pushed_serves_everywhere():
    """Text and all, so that problems keep their lines."""
    store = MemoryStore()
    loader = Loader(StoreSource(store))
    with pytest.raises(DefinitionError, match="progflags push"):
        loader.first()
    revision, snapshot = push(store, piece("[flags.a]\npercent = 10\n"), by="ann")

    assert revision == store.revision() == 1
    assert shares(loader.load().snapshot) == shares(snapshot) == {"a": 100_000}
    assert store.history("definitions")[0].body["by"] == "ann"
    assert store.history("definitions")[0].body["files"] == ["flags.toml"]


def test_a_retired_key_keeps_its_type_from_push_to_push():
    """However many pushes ago it went."""
    store = MemoryStore()
    push(store, piece("[flags.a]\n[flags.b]\n"))
    for percent in (1, 2, 3):
        push(store, piece(f'retired = ["b"]\n[flags.a]\npercent = {percent}\n'))
    with pytest.raises(DefinitionError, match="retired as a boolean flag"):
        push(store, piece('retired = ["b"]\n[flags.a]\n[flags.b]\nvariants = { x = "1" }\n'))
    push(store, piece('[flags.a]\n[flags.b]\nvariants = { x = "1" }\n'))


def test_other_commits_cost_a_store_source_nothing(monkeypatch):
    """Live state moves all the time; definitions do not."""
    store = MemoryStore()
    push(store, piece("[flags.a]\npercent = 10\n"))
    source = StoreSource(store)
    first = source.read()
    store.commit(Commit({"flag/a": {}}))
    assert source.read() == first
    monkeypatch.setattr(store, "read", None)
    assert source.read() == first


def test_a_push_is_stricter_than_a_reload():
    """One bad flag, and nothing is pushed."""
    store = MemoryStore()
    with pytest.raises(DefinitionError, match="flags.toml:2: flags.a.percnt"):
        push(store, piece("[flags.a]\npercnt = 10\n"))
    assert store.revision() == 0


def test_a_push_that_loses_most_flags_is_held_back_unless_forced():
    """The wrong file in the shell's history."""
    store = MemoryStore()
    push(store, piece("[flags.a]\n[flags.b]\n[flags.c]\n"))
    with pytest.raises(DefinitionError, match="2 of 3 flags are missing"):
        push(store, piece("[flags.a]\npercent = 3\n"))
    assert push(store, piece("[flags.a]\npercent = 3\n"), force=True)[0] == 2


def test_two_pushes_at_once_do_not_overwrite_each_other(monkeypatch):
    """The second is told to look first."""
    store = MemoryStore()
    read = store.read

    def slow(prefix=""):
        found = read(prefix)
        monkeypatch.setattr(store, "read", read)
        push(store, piece("[flags.theirs]\n"))
        return found

    monkeypatch.setattr(store, "read", slow)
    with pytest.raises(ConflictError):
        push(store, piece("[flags.mine]\n"))


def test_a_store_out_of_reach_leaves_the_last_good_one():
    """Stale, with the store's own words."""
    store = MemoryStore()
    push(store, piece("[flags.a]\n"))
    loader = Loader(StoreSource(store))
    loader.first()
    store.close()
    loaded = loader.load()
    assert loaded.stale
    assert "is closed" in loaded.problems[0].message


@pytest.mark.parametrize("body", [{}, {"v": 2, "pieces": []}, {"v": 1}, {"v": 1, "pieces": [{"file": "x"}]}, {"v": 1, "pieces": 3}])
def test_definitions_of_another_version_are_refused(body):
    """Never guessed at."""
    store = MemoryStore()
    store.commit(Commit({"definitions": body}))
    with pytest.raises(DefinitionError, match="can't read"):
        Loader(StoreSource(store)).first()


def test_somebody_elses_source_may_raise_anything():
    """The last good one serves, the error is in the problems."""

    class Odd:
        name = "odd"
        broken = False

        def read(self):
            if self.broken:
                raise ZeroDivisionError("ouch")
            return piece("[flags.a]\n")

    source = Odd()
    loader = Loader(source)
    loader.first()
    source.broken = True
    assert "ouch" in str(loader.load().problems[0])
    source.broken = False
    assert not loader.load().stale


def test_a_store_error_is_no_reason_to_forget(monkeypatch):
    """Out of reach and back: nothing to install."""
    store = MemoryStore()
    push(store, piece("[flags.a]\n"))
    loader = Loader(StoreSource(store))
    loader.first()
    with monkeypatch.context() as down:
        down.setattr(store, "revision", lambda: (_ for _ in ()).throw(StoreError("down")))
        assert loader.load().stale
    assert loader.load() == type(loader.load())()


@pytest.mark.parametrize(("value", "on"), [("off", False), ("on", True)])
def test_a_variable_beats_a_flag_that_serves_one_variant_by_itself(value, on):
    """`serve` is what the flag serves by itself, as much as its rules are: in an emergency `off` is off."""
    base = {"flags": {"new-search": {"serve": "on" if value == "off" else "off"}}}
    snapshot = Loader(Layered(DictSource(base), EnvSource({"PROGFLAGS_FLAG_NEW_SEARCH": value}))).first()
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(snapshot)
    assert client.is_enabled("new-search", "u") is on


def test_a_percentage_beyond_a_hundred_leaves_the_flag_as_the_file_has_it():
    """A wrong variable changes nothing, this one neither."""
    snapshot = with_environment(PROGFLAGS_FLAG_NEW_SEARCH="101%")
    assert shares(snapshot) == shares(with_environment())
    assert snapshot.broken == frozenset()
