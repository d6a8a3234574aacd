"""Files of all three forms are edited where it is said and nowhere else: over files as people write them, made at random."""

from __future__ import annotations

import difflib
import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from progflags.cli.editing._edit import Insert, Move, Put, Take, after, at, readings, same
from progflags.cli.editing._form import Text
from progflags.errors import MissingExtraError, ProgflagsError
from progflags.sources import Piece
from support.documents import documents
from support.sizes import size

from . import shapes
from .written import value_of, written

FORMS = ["toml", "yaml", "json"]
many = settings(max_examples=size(40, full=1500), deadline=None, suppress_health_check=list(HealthCheck))


def text_of(form, made):
    return Text.of(Piece(f"flags.{form}", form, made.text.encode()))


def lines_apart(old, new):
    """The lines of the old text that are not in the new one, and those of the new one."""
    match = difflib.SequenceMatcher(None, old.split("\n"), new.split("\n"), autojunk=False)
    gone, come = [], []
    for kind, a, b, c, d in match.get_opcodes():
        if kind != "equal":
            gone += range(a, b)
            come += new.split("\n")[c:d]
    return gone, come


def scalars(document, path=()):
    """Every path to a value that is no table and no list."""
    if isinstance(document, dict):
        return [found for key, value in document.items() for found in scalars(value, (*path, key))]
    if isinstance(document, list):
        return [found for key, value in enumerate(document) for found in scalars(value, (*path, key))]
    return [path]


def owner(made, path):
    """The lines that a value stands on: those of the longest key that is known."""
    return next((made.lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in made.lines), None)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.sized
@many
@given(st.randoms(use_true_random=False))
def test_a_value_that_is_set_changes_its_own_line_and_no_other(form, chance):
    made = written(form, chance, chance.randrange(1, 5))
    paths = [path for path in scalars(made.document) if path[0] == "flags"]
    if not paths:
        return
    path = chance.choice(paths)
    new = 77 if not isinstance(at(made.document, path), str) else 'new "text" # here'

    edited = text_of(form, made).edited([Put(path, new)])

    assert same(edited.document, after(made.document, Put(path, new)))
    gone, come = lines_apart(made.text, edited.plain)
    assert len(gone) == len(come) == 1
    if form != "json":
        assert set(gone) <= set(range(*owner(made, path)))
        assert comment(come[0]) == comment(made.text.split("\n")[gone[0]])


def comment(line):
    """What the generator puts behind a value."""
    return next((mark for mark in (" # why", "      # [x] = 'y'") if line.endswith(mark)), None)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.sized
@many
@given(st.randoms(use_true_random=False))
def test_a_key_more_is_a_line_more(form, chance):
    """In JSON the line before it gets its comma; within braces the line itself changes."""
    made = written(form, chance, chance.randrange(1, 5))
    key = chance.choice(list(made.document["flags"]))
    edit = Put(("flags", key, "expires"), "2027-03-01")

    edited = text_of(form, made).edited([edit])

    assert same(edited.document, after(made.document, edit))
    gone, come = lines_apart(made.text, edited.plain)
    if form == "toml" or (form == "yaml" and made.document["flags"][key]):
        assert gone == []
        assert [line.strip() for line in come] in (['expires = "2027-03-01"'], ["expires: '2027-03-01'"])
    else:
        assert len(gone) <= 1
        assert len(come) <= 3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.sized
@many
@given(st.randoms(use_true_random=False))
def test_whatever_is_edited_the_document_says_exactly_that_and_comments_stay(form, chance):
    """Several edits in turn: set, taken out, put in, moved. A comment goes only with what it stands above or behind of."""
    made = written(form, chance, chance.randrange(1, 5))
    text, document = text_of(form, made), made.document
    for _ in range(chance.randrange(1, 5)):
        edit = anything(chance, document)
        new = text.edited([edit])
        assert any(same(new.document, one) for one in readings(document, edit)), edit
        if isinstance(edit, (Insert, Move)):
            assert comments(new.plain) == comments(text.plain), edit
        text, document = new, new.document
        if not isinstance(edit, Take) and not isinstance(getattr(edit, "value", None), list):
            assert text.plain.count("a part of the file") == made.text.count("a part of the file")
    assert text.plain.startswith(made.text.split("\n")[0])


def comments(text):
    """Every comment on a line of its own, and those the generator puts behind a value."""
    lines = text.split("\n")
    return sorted([line.strip() for line in lines if line.lstrip().startswith("#")] + [found for line in lines if (found := comment(line))])


def anything(chance, document):
    key = chance.choice(list(document["flags"]))
    path, table = ("flags", key), document["flags"][key]
    rules = table.get("rules", [])
    name = chance.choice(["description", "owner", "tags", "metadata", "percent"])
    kinds = ["put", "insert", "flag", "deep"]
    kinds += [*(["take"] if table else []), *(["gone"] if len(document["flags"]) > 1 else []), *(["move"] if len(rules) > 1 else [])]
    match chance.choice(kinds):
        case "put":
            return Put((*path, name), value_of(name, chance))
        case "deep":
            return Put((*path, "rollout", chance.choice(["profile", "watch"])), "high")
        case "insert":
            return Insert((*path, "rules"), chance.randrange(len(rules) + 1), {"percent": 3, "when": 'a == "b"'})
        case "flag":
            return Put(("flags", f"new-{chance.randrange(1000)}"), {"percent": 3, "owner": 'x "y"', "rules": [{"percent": 1}]})
        case "take":
            return Take((*path, chance.choice(list(table))))
        case "gone":
            return Take(path)
        case "move":
            return Move((*path, "rules"), chance.randrange(len(rules)), chance.randrange(len(rules)))


@pytest.mark.parametrize("form", ["toml", "yaml"])
@pytest.mark.sized
@many
@given(st.randoms(use_true_random=False))
def test_a_rule_moves_with_its_comments_and_leaves_everything_else_where_it_was(form, chance):
    made = written(form, chance, chance.randrange(1, 4))
    found = [path for path in made.lines if len(path) == 4 and path[2] == "rules"]
    flags = [key for key in made.document["flags"] if sum(path[1] == key for path in found) > 1]
    if not flags:
        return
    key = chance.choice(flags)
    rules = made.document["flags"][key]["rules"]
    source, target = chance.randrange(len(rules)), chance.randrange(len(rules))

    edited = text_of(form, made).edited([Move(("flags", key, "rules"), source, target)])

    lines = made.text.split("\n")
    order = list(range(len(rules)))
    order.insert(target, order.pop(source))
    spans = [made.lines["flags", key, "rules", at] for at in range(len(rules))]
    expected, reached = [], 0
    for (start, end), which in zip(spans, order, strict=True):
        expected += lines[reached:start] + lines[slice(*spans[which])]
        reached = end
    assert edited.plain.split("\n") == expected + lines[reached:]


@pytest.mark.parametrize("form", ["toml", "yaml"])
@pytest.mark.sized
@many
@given(st.randoms(use_true_random=False))
def test_a_rule_that_is_removed_takes_its_own_lines_along(form, chance):
    made = written(form, chance, chance.randrange(1, 4))
    found = [path for path in made.lines if len(path) == 4 and path[2] == "rules" and len(at(made.document, path[:3])) > 1]
    if not found:
        return
    path = chance.choice(found)

    edited = text_of(form, made).edited([Take(path)])

    lines, span = made.text.split("\n"), made.lines[path]
    left = [line for line in lines[: span[0]] + lines[span[1] :] if line]
    assert [line for line in edited.plain.split("\n") if line] == left


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_five_thousand_lines_and_one_that_changes(form):
    """Wherever the flag stands in the file; and it takes no minute."""
    chance = random.Random(5)
    made = written(form, chance, 550)
    assert made.text.count("\n") > 5000
    text = text_of(form, made)
    began = time.perf_counter()
    for number in (549,) if form == "yaml" else (0, 549):
        path = ("flags", f"flag-{number}", "expires")
        once = text.edited([Put(path, "2027-03-01")])
        again = once.edited([Put(path, "2028-04-02")])
        gone, come = lines_apart(once.plain, again.plain)
        assert len(gone) == len(come) == 1
        assert "2028-04-02" in come[0]
    assert time.perf_counter() - began < 60


def test_line_ends_marks_and_what_is_said_in_several_ways_stay():
    for raw in (
        b"\xef\xbb\xbf[flags.a]\r\npercent = 5\r\n",
        b"[flags]\na = { percent = 5 }\n",
        b"flags.a.percent = 5\n",
        b"[flags]\na.percent = 5",
    ):
        text = Text.of(Piece("flags.toml", "toml", raw))
        assert text.edited([Put(("flags", "a", "percent"), 7)]).piece.text == raw.replace(b"5", b"7")
    same_shape = b'{"flags":{"a":{"percent":5}}}'
    edited = Text.of(Piece("x", "data", same_shape)).edited([Put(("flags", "a", "owner"), "ü"), Take(("flags", "a", "percent"))])
    assert edited.piece.text == '{"flags":{"a":{"owner":"ü"}}}'.encode()


def test_a_shorter_file_is_never_the_beginning_of_the_one_before():
    """For that is how one looks that was cut off while it was written, and an application holds it back."""
    raw = b"[flags.a]\npercent = 5\n\n[[flags.a.rules]]\npercent = 3\n"
    edited = Text.of(Piece("flags.toml", "toml", raw)).edited([Take(("flags", "a", "rules"))])
    assert not raw.startswith(edited.piece.text)
    assert edited.piece.text.strip() == b"[flags.a]\npercent = 5"


@pytest.mark.parametrize(("form", "package"), [("toml", "tomlkit"), ("yaml", "ruamel")])
def test_without_its_library_the_remedy_is_said(form, package, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)

    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    made = written(form, random.Random(1), 2)
    with pytest.raises(MissingExtraError, match=r"pip install 'progflags\[edit\]'"):
        text_of(form, made).edited([Put(("flags", "flag-0", "percent"), 5)])


def test_every_flag_file_of_the_project_is_edited_line_by_line():
    """The demo's own."""
    path = Path(__file__).parents[3] / "src/progflags/cli/demo/demo.flags.toml"
    text = Text.of(Piece("demo.flags.toml", "toml", path.read_bytes()))
    for flag in text.document["flags"]:
        edited = text.edited([Put(("flags", flag, "owner"), "somebody-else")])
        gone, come = lines_apart(text.plain, edited.plain)
        assert len(come) == 1
        assert len(gone) <= 1


SHAPES = {
    **documents(),
    **{f"{at}.yaml": one for at, one in enumerate(shapes.YAML)},
    **{f"{at}.toml": one for at, one in enumerate(shapes.TOML)},
}


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_flag_files_in_many_shapes_are_edited_as_meant(name):
    """Inline, dotted, in one line, with texts over several lines: keys set and taken out, rules added, moved, taken out, flags too."""
    text = Text.of(Piece(name, name.rpartition(".")[2], SHAPES[name].encode()))
    for edit in every(text.document):
        assert any(same(text.edited([edit]).document, one) for one in readings(text.document, edit)), edit


def every(document):
    yield Put(("flags", "new"), {"percent": 3, "rules": [{"when": "a: b"}]})
    yield Insert(("retired",), 0, "old")
    yield Insert(("retired",), 0, "old", ("# gone",))
    for key, table in document["flags"].items():
        path = ("flags", key)
        yield from (Put((*path, "owner"), 'x: "y" # z'), Insert((*path, "rules"), 0, {"percent": 9, "when": "q"}), Take(path))
        yield Put((*path, "rollout", "watch"), "2h")
        for name in table:
            yield from (
                Put((*path, name), 7),
                Take((*path, name)),
                Put((*path, name), [{"percent": 1}]),
                Put((*path, name), {"a": [1, "x,y"]}),
            )
        for place, _ in enumerate(table.get("rules", [])):
            rules = (*path, "rules")
            yield from (
                Take((*rules, place)),
                Move(rules, place, 0),
                Insert(rules, place + 1, {"percent": 8}),
                Put((*rules, place, "percent"), 44),
            )
            yield Put((*rules, place, "serve"), "on")


def test_what_a_library_can_not_read_is_left_to_a_person(monkeypatch):
    """Though an application can."""
    import ruamel.yaml
    import tomlkit
    from ruamel.yaml.error import YAMLError
    from tomlkit.exceptions import TOMLKitError

    def refuses(error):
        def refuse(*_):
            raise error

        return refuse

    monkeypatch.setattr(tomlkit, "parse", refuses(TOMLKitError("no")))
    monkeypatch.setattr(ruamel.yaml.YAML, "compose", refuses(YAMLError("no")))
    for form, raw in (("toml", b"[flags.a]\npercent = 5\n"), ("yaml", b"flags:\n  a:\n    percent: 5\n")):
        with pytest.raises(ProgflagsError, match="change it by hand"):
            Text.of(Piece("x", form, raw)).edited([Put(("flags", "a", "percent"), 7)])
