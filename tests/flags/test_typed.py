"""Typed flags: the default's type is every answer's, models included; a bound flag follows every reload."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, ConfigDict

from progflags.context import Context, bind
from progflags.events import Bus
from progflags.flags import Client, Flag, parse
from progflags.testing import ManualClock


class Limits(BaseModel):
    k: int
    timeout: float = 1.0


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    k: int


DOCUMENT: dict[str, Any] = {
    "flags": {
        "flow": {"variants": {"classic": "c", "fast": "f"}, "default": "classic", "rules": [{"when": 'plan == "pro"', "serve": "fast"}]},
        "limits": {"variants": {"s": {"k": 1}, "l": {"k": 2, "timeout": 5}}, "default": "s"},
        "bad-limits": {"variants": {"s": {"kk": 1}}},
        "number": {"variants": {"x": 3}},
        "half": {"percent": 50},
    }
}


@pytest.fixture
def flags() -> Client:
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse(DOCUMENT))
    return client


def test_a_typed_flag_brings_its_default_and_type(flags: Client) -> None:
    """No second default at the call; trouble gives the flag's own."""
    flow = Flag("flow", default="x")
    assert flags.get(flow, context=Context("u", {"plan": "pro"})) == "f"
    assert flags.get(Flag("nope", default=7), context="u") == 7
    assert flags.get(Flag("flow", default=7), context="u") == 7
    assert flags.get(Flag("number", default=0.5), context="u") == 3.0
    assert flags.is_enabled(Flag("half", default=False), "u1") == flags.is_enabled("half", "u1")
    assert flags.evaluate(flow, context="u").value == "c"
    assert flags.evaluate(Flag("flow", default=7), context="u").error_code == "TYPE_MISMATCH"
    with bind("u"):
        assert flags.get(flow) == "c"


def test_a_json_flag_becomes_a_model(flags: Client) -> None:
    """Read once; one that can be changed is everybody's own, a frozen one is shared."""
    limits = Flag("limits", default=Limits(k=9))
    first, second = flags.get(limits, context="u"), flags.get(limits, context="u")
    assert first == Limits(k=1)
    first.k = 100
    assert second.k == flags.get(limits, context="u").k == 1
    frozen = Flag("limits", default=Frozen(k=9))
    assert flags.get(frozen, context="u") is flags.get(frozen, context="u")


def test_an_evaluation_of_a_typed_flag_has_its_type(flags: Client) -> None:
    """Read by the model as `get` would; trouble gives the flag's own default."""
    assert flags.evaluate(Flag("limits", default=Limits(k=9)), context="u").value == Limits(k=1)
    assert flags.evaluate(Flag("number", default=0.5), context="u").value == 3.0
    refused = flags.evaluate(Flag("bad-limits", default=Limits(k=9)), context="u")
    assert (refused.value, refused.error_code) == (Limits(k=9), "TYPE_MISMATCH")
    assert flags.evaluate(Flag("nope", default=7), context="u").value == 7


def test_a_value_the_model_refuses_is_the_default(flags: Client) -> None:
    """TYPE_MISMATCH, never an exception."""
    limits = Flag("bad-limits", default=Limits(k=9))
    assert flags.get(limits, context="u") == Limits(k=9)
    assert limits.bind(flags)("u") == Limits(k=9)


def test_a_bound_flag_follows_every_reload(flags: Client) -> None:
    """Also from before the first load, and past a removal and a change of type."""
    young = Client(bus=Bus(), clock=ManualClock())
    flow = Flag("flow", default="x")
    ask = flow.bind(young)
    answers = [ask("u")]
    for document in (DOCUMENT, {"flags": {}}, {"flags": {"flow": {"percent": 5}}}, {"flags": {"flow": {"variants": {"n": "new"}}}}):
        young.install(parse(document))
        answers.append(ask("u"))
    assert answers == ["x", "c", "x", "x", "new"]


def test_a_bound_flag_takes_every_kind_of_context(flags: Client) -> None:
    """A Context, a key, a mapping, the ambient one; and trouble is the default."""
    ask = Flag("flow", default="x").bind(flags)
    with bind(Context("u", {"plan": "pro"})):
        assert [ask(), ask("u"), ask({"targeting_key": "u", "plan": "pro"}), ask(Context("u")), ask(3.5)] == ["f", "c", "f", "c", "x"]


def test_a_flag_needs_a_key() -> None:
    """Refused where it is declared."""
    with pytest.raises(ValueError, match="key"):
        Flag("", default=1)


def test_the_code_is_checked_against_the_file() -> None:
    """A declared flag that the file lacks, or has with another type, is named with its line."""
    from progflags.flags import decode_toml, mismatches

    document, lines = decode_toml('[flags.flow]\nvariants = { a = "a" }\n[flags.half]\npercent = 5\n', "f.toml")
    snapshot = parse(document, file="f.toml", lines=lines)
    declared = [Flag("flow", default=True), Flag("half", default=False), Flag("gone", default="x")]

    assert [str(problem) for problem in mismatches(snapshot, declared)] == [
        "f.toml: flags.flow: the code wants a bool, variant 'a' is a str (change one of the two)",
        "f.toml: flags.gone: the code asks for this flag, and the file does not have it (add it, or take the declaration out)",
    ]


@dataclass
class Box:
    k: int
    sizes: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Sealed:
    k: int
    inner: Box = field(default_factory=lambda: Box(1))


class Pair(NamedTuple):
    a: int
    b: str


class Flow(StrEnum):
    CLASSIC = "c"
    FAST = "f"


class Shade(Enum):
    DARK = 3


class Step(IntEnum):
    THIRD = 3


class Plain:
    """Nothing says how to make one."""

    def __init__(self, k: int) -> None:
        self.k = k


@pytest.mark.parametrize(
    ("value", "default", "answer"),
    [
        ({"k": 2, "sizes": [1]}, Box(9), Box(2, [1])),
        ({"k": 2, "inner": {"k": 3}}, Sealed(9), Sealed(2, Box(3))),
        ([1, "x"], Pair(9, ""), Pair(1, "x")),
        ("f", Flow.CLASSIC, Flow.FAST),
        (3, Step.THIRD, Step.THIRD),
        (3, Shade.DARK, Shade.DARK),
        (0.1, Decimal(9), Decimal("0.1")),
        ("2027-01-01", date.min, date(2027, 1, 1)),
        ([1, 2], (9,), (1, 2)),
        (3, None, 3),
    ],
)
def test_a_default_of_any_class_that_can_be_made_is_made(value: Any, default: Any, answer: Any) -> None:
    """Of that class, however it is asked for; what it refuses is the default, as with a model."""
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": {"f": {"variants": {"a": value}}, "g": {"variants": {"a": {"no": []}}}}}))
    flag = Flag("f", default=default)
    for found in (client.get(flag, context="u"), flag.bind(client)("u"), client.evaluate(flag, context="u").value):
        assert found == answer
        assert type(found) is type(answer)
    if default is not None:
        assert client.evaluate(Flag("g", default=default), context="u").error_code == "TYPE_MISMATCH"


def test_what_can_be_changed_is_every_callers_own() -> None:
    """A dataclass as a model; a frozen one is shared."""
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": {"f": {"variants": {"a": {"k": 2}}}}}))
    box = Flag("f", default=Box(9))
    client.get(box, context="u").sizes.append(5)
    assert client.get(box, context="u").sizes == []
    sealed = Flag("f", default=Sealed(9))
    assert client.get(sealed, context="u") is client.get(sealed, context="u")


@pytest.mark.parametrize("default", [Plain(3), SimpleNamespace(k=3), len, range(3), [].__iter__()])
def test_a_default_that_nothing_can_make_is_refused_where_it_is_declared(default: Any) -> None:
    """It would have been the answer for ever, whatever the file says; the message has the ways out, and they are ways out."""
    with pytest.raises(TypeError, match=r"flag 'limits': .* would always be its default: make .* a dataclass or .*model=lambda table"):
        Flag("limits", default=default)
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": {"limits": {"variants": {"a": {"k": 2}}}}}))
    assert client.get(Flag("limits", default=Plain(9), model=lambda table: Plain(**table)), context="u").k == 2
    assert client.get(Flag("limits", default=None, model=Box), context="u") == Box(2)
    with pytest.raises(TypeError, match="model is a class or a function, not 'Box'"):
        Flag("limits", default=None, model="Box")  # type: ignore[arg-type]
