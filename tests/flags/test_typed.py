"""Typed flags: the default's type is every answer's, models included; a bound flag follows every reload."""

from __future__ import annotations

from typing import Any

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
