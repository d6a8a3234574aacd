"""What docstrings show is true: every public name has an example, and it runs."""

import ast
import importlib
import inspect
import re
from enum import Enum

import pytest

import progflags as pf
from progflags.flags import given
from support.public import members, named
from support.standins import BEFORE, NOT_RUN, THEN, stand_ins

#: What tutorials and how-tos call most.
CALLED_MOST = [
    *(f"progflags.Flags.{name}" for name in ("is_enabled", "get", "evaluate", "explain", "kill", "panic", "override", "track", "status")),
    *(f"progflags.rollout.Rollouts.{name}" for name in ("start", "status", "forecast", "rollback")),
]
BLOCK = re.compile(r"(?<=\n\n)(?: {4}.*\n?|\n(?= {4}))+")


def examples(text):
    """The blocks of a docstring that are indented after a blank line: the reference shows them as code."""
    for block in BLOCK.finditer(text):
        outer = next(line for line in reversed(text[: block.start()].splitlines()) if line.strip())
        if not outer.startswith(" "):
            yield inspect.cleandoc("\n" + block[0])


def texts():
    """Of every public name, and of every public member of a class: whose it is, what it is called, its docstring."""
    for dotted, value in named():
        yield dotted, dotted, inspect.getdoc(value) or ""
        if inspect.isclass(value):
            for name, _ in members(value) if not issubclass(value, Enum) else ():
                yield dotted, f"{dotted}.{name}", inspect.getdoc(getattr(value, name, None)) or ""


SHOWN = [(whose, dotted, "\n".join(found)) for whose, dotted, text in texts() if (found := list(examples(text)))]


class Entered(ast.NodeTransformer):
    """Notes at the head of each branch, loop and `except` that it was entered: an example shows nothing that does not come about."""

    def __init__(self):
        self.there = set()

    def _noting(self, node):
        self.there.add(node.lineno)
        node.body.insert(0, ast.parse(f"entered.add({node.lineno})").body[0])
        return self.generic_visit(node)

    visit_If = visit_For = visit_ExceptHandler = _noting

    def visit_FunctionDef(self, node):
        return node  # it is called or not as the application sees fit

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef


def said(line, end):
    """The value that a comment beside an expression says it has; the expression itself is anything else's."""
    _, _, comment = line.encode()[end:].decode().partition("#")
    try:
        return [ast.literal_eval(comment.strip())]
    except (SyntaxError, ValueError):
        return []


def run(dotted, text, names):
    """Run an example; what it says is not so, as sentences."""
    tree, lines, wrong = ast.parse(text.replace(*names.get("instead", ("", "")))), text.splitlines(), []
    marks = Entered()
    names["entered"] = set()
    for node in tree.body:
        marked = ast.fix_missing_locations(marks.visit(node))
        if isinstance(node, ast.Expr):
            value = eval(compile(ast.Expression(node.value), dotted, "eval"), names)
            wrong += [
                f"{ast.unparse(node)} is {value!r}" for meant in said(lines[node.end_lineno - 1], node.end_col_offset) if meant != value
            ]
        else:
            exec(compile(ast.Module([marked], []), dotted, "exec"), names)
    wrong += [f"line {line} is never entered" for line in sorted(marks.there - names["entered"])]
    return wrong + [f"{then} is false" for then in [THEN.get(dotted, "1")] if not eval(then, names)]


def put_away(names):
    """What an example, or what prepared it, has begun ends with it."""
    for value in [*names.values(), given(None)]:
        if type(value).__module__.startswith(("progflags", "opentelemetry", "sqlalchemy", "support")):
            end = next((getattr(value, end) for end in ("dispose", "shutdown", "close") if hasattr(value, end)), bool)
            end()
    pf.set_default(None)
    getattr(names.get("structlog"), "reset_defaults", bool)()
    getattr(names.get("api"), "clear_providers", bool)()


def unknown(text):
    """What an example that can't run imports, or takes from a module, and is not there; as it is written."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            found += [f"{node.module}.{each.name}" for each in node.names if not hasattr(module, each.name)]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pf" and not hasattr(pf, node.attr):
            found.append(ast.unparse(node))
    return found


@pytest.fixture
def names(shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = stand_ins(shown[0])
    yield found
    put_away(found)


def test_every_public_name_has_an_example():
    """A class by its own docstring, or one of a member's; what tutorials and how-tos call most by one of its own."""
    assert {dotted for dotted, _ in named()} - {whose for whose, _, _ in SHOWN} == set()
    assert set(CALLED_MOST) - {dotted for _, dotted, _ in SHOWN} == set()


def test_examples_are_read_without_scrolling():
    """So many signs has a line of the reference on a screen 1,250 px wide; a member's stands further in."""
    wide = [(dotted, line) for whose, dotted, text in SHOWN for line in text.splitlines() if len(line) > (93 if whose == dotted else 88)]
    assert wide == []


def test_members_of_enums_say_what_they_are():
    """By `#:` beside or above each, which is what the reference shows; without it a member is left out."""
    silent = []
    for dotted, value in named():
        if inspect.isclass(value) and issubclass(value, Enum):
            lines = inspect.getsource(value).splitlines()
            for before, line in zip(lines, lines[1:], strict=False):
                name = line.strip().partition(" = ")[0]
                silent += [f"{dotted}.{name}"] if name in value.__members__ and "#: " not in line and "#: " not in before else []
    assert silent == []


def test_what_is_said_of_examples_is_said_of_some():
    """No reason is given for an example that is gone, and nothing prepared for it."""
    assert {*NOT_RUN, *BEFORE, *THEN} <= {dotted for _, dotted, _ in SHOWN}
    assert not NOT_RUN.keys() & {*BEFORE, *THEN}


@pytest.mark.parametrize("shown", [pytest.param((dotted, text), id=dotted) for _, dotted, text in SHOWN if dotted not in NOT_RUN])
def test_examples_run(shown, names):
    """With an application's names for what they don't say; a comment that is a value is the value, and every branch is entered."""
    assert run(*shown, names) == []


@pytest.mark.parametrize("text", [pytest.param(text, id=dotted) for _, dotted, text in SHOWN if dotted in NOT_RUN])
def test_what_the_others_name_is_there(text):
    """They are Python, and take from `pf` and from what they import what these have."""
    assert unknown(text) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('flags.is_enabled("new-search", "user-42")          # False', "flags.is_enabled('new-search', 'user-42') is True"),
        ("for step in flags.rollouts.history('new-checkout'):\n    print(step.nothing)", "line 1 is never entered"),
        ("try:\n    flags.status()\nexcept pf.StoreError as error:\n    print(error)", "line 3 is never entered"),
    ],
)
@pytest.mark.parametrize("shown", [("progflags.Evaluation", "")])
def test_an_example_that_says_what_is_not_so_is_found(names, text, wrong):
    """A value that is another; a branch in which anything could stand."""
    assert run("progflags.Evaluation", text, names) == [wrong]


@pytest.mark.parametrize("text", ["pf.connected('flags.toml')", "flags.is_on('new-search')", "pf.Gate('error_rate', most=1)", "flag.get()"])
@pytest.mark.parametrize("shown", [("progflags.Evaluation", "")])
def test_an_example_of_what_is_not_there_is_found(names, text):
    """A misspelt name, a method nobody has, a parameter that isn't one, a name from nowhere."""
    with pytest.raises((AttributeError, NameError, TypeError)):
        run("progflags.Evaluation", text, names)
