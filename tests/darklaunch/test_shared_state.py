"""What hides where two sides might share it: arithmetic's context, the caller's own answer, and methods that were copied."""

from __future__ import annotations

import copy
import decimal
import importlib
import pickle
import threading

import pytest

from progflags.darklaunch import dark_launch, normalize
from progflags.darklaunch.compare._copier import NotIsolated


@pytest.mark.parametrize("executor", ["inline", "thread"])
def test_a_candidates_decimal_precision_is_its_own(flags, engine, executor):
    """A copied context shares the objects in it, and this one is edited in place."""
    third = decimal.Decimal(1) / 3

    def candidate():
        decimal.getcontext().prec = 3
        decimal.getcontext().traps[decimal.Inexact] = True
        return third

    @dark_launch("on", candidate=candidate, flags=flags, executor=executor)
    def control():
        return decimal.Decimal(1) / 3

    for _ in range(3):
        assert control() == third
        assert control.dark_launch.drain(60)
    assert control.dark_launch.stats().outcomes["match"] == 3


@pytest.mark.parametrize("executor", ["inline", "task"])
async def test_a_coroutines_decimal_precision_is_its_own(flags, engine, executor):
    third = decimal.Decimal(1) / 3

    async def candidate():
        decimal.getcontext().prec = 3
        return third

    @dark_launch("on", candidate=candidate, flags=flags, executor=executor)
    async def control():
        return decimal.Decimal(1) / 3

    for _ in range(3):
        assert await control() == third
        assert await control.dark_launch.adrain(60)
    assert control.dark_launch.stats().outcomes["match"] == 3


def test_a_repeat_of_the_control_finds_the_context_as_the_control_did(flags, engine):
    """What a candidate sets for itself is no noise of the control's."""

    def candidate():
        decimal.getcontext().prec = 3
        return decimal.Decimal(1) / 3

    @dark_launch("on", candidate=candidate, flags=flags, executor="inline", aa_rate=1.0)
    def control():
        return decimal.Decimal(1) / 3

    for _ in range(12):
        control()
    assert control.dark_launch.stats().outcomes["mismatch"] == 12
    assert not control.dark_launch.proposals()


def _sorting(value):
    value.sort()
    return value


class Row:
    def __init__(self, n):
        self.n = n

    def __lt__(self, other):
        return self.n < other.n

    def __eq__(self, other):
        return isinstance(other, Row) and self.n == other.n

    __hash__ = None


EDITS = {
    "compare": {"compare": lambda a, b: _sorting(a) == _sorting(b)},
    "normalize": {"rules": [normalize("$", _sorting)]},
    "ignore_if": {"ignore_if": lambda a, b: _sorting(a) == _sorting(b)},
    "reduce": {"reduce": _sorting},
}


@pytest.mark.parametrize("executor", ["inline", "thread"])
@pytest.mark.parametrize("kind", [int, Row])
@pytest.mark.parametrize("option", EDITS)
def test_a_function_that_sorts_in_place_does_not_sort_the_callers_answer(flags, engine, option, kind, executor):
    @dark_launch("on", candidate=lambda: [kind(1), kind(2), kind(3)], flags=flags, executor=executor, **EDITS[option])
    def control():
        return [kind(3), kind(1), kind(2)]

    answer = control()
    assert control.dark_launch.drain(60)

    assert answer == [kind(3), kind(1), kind(2)]
    outcomes = control.dark_launch.stats().outcomes
    assert outcomes["match"] + outcomes["ignored"] == 1


def test_what_has_no_copy_is_compared_as_it_is_where_the_candidate_runs_at_once(flags, engine):
    """Inline nobody edits it meanwhile; of a function that would, the documentation warns."""

    @dark_launch("on", candidate=threading.Lock, flags=flags, executor="inline", compare=lambda a, b: type(a) is type(b))
    def control():
        return threading.Lock()

    with pytest.raises(NotIsolated):
        control.dark_launch.isolator.copy(control())
    assert control.dark_launch.stats().outcomes["match"] == 1


MODULE = """
from progflags.darklaunch import dark_launch
launched = dark_launch("on", candidate=lambda *_: 1)

class Plain:
    def m(self): return "m", self.n
    @classmethod
    def cm(cls): return "cm", cls.__name__
    @staticmethod
    def sm(): return "sm",
    def __init__(self): self.n = [1]

class Launched:
    @launched
    def m(self): return "m", self.n
    @launched
    @classmethod
    def cm(cls): return "cm", cls.__name__
    @launched
    @staticmethod
    def sm(): return "sm",
    def __init__(self): self.n = [1]

class PlainChild(Plain): pass
class LaunchedChild(Launched): pass
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copied")
    (folder / "copied_methods.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("copied_methods")


COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "oldest pickle": lambda value: pickle.loads(pickle.dumps(value, 0)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", ["m", "cm", "sm"])
@pytest.mark.parametrize("owner", ["class", "child", "object"])
def test_a_decorated_method_is_copied_as_its_undecorated_twin_is(module, owner, name, how):
    answers = []
    for kind, child in ((module.Plain, module.PlainChild), (module.Launched, module.LaunchedChild)):
        held = {"class": kind, "child": child, "object": child()}[owner]
        made = COPIES[how](getattr(held, name))
        args = (kind(),) if name == "m" and owner != "object" else ()
        answers.append((tuple(str(part).replace("Launched", "Plain") for part in made(*args)), getattr(made, "__self__", None) is held))

    assert answers[0] == answers[1]


def test_a_method_that_nobody_could_find_again_is_refused():
    class Local:
        @dark_launch("on", candidate=lambda *_: 1)
        def m(self): ...

    with pytest.raises(pickle.PicklingError, match="local"):
        pickle.dumps(Local.m)
    assert copy.deepcopy(Local.m) is not None
