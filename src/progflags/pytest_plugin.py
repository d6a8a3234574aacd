"""
Fixtures and markers for tests of applications that use progflags. Light to import: pytest loads it in every run.

    def test_search(flags):                       # undone after the test, and seen by every thread
        flags.set("new-search", "on")

    @pytest.mark.flags(new_search="on")           # the same, as a marker; `_` may stand for `-`
    @pytest.mark.flag_matrix("checkout-flow")     # once for every variant; several flags: every combination

The client is the default one (`pf.set_default`), else one made of the file that `progflags_file` names in pytest's
configuration, which is then the default during the test, so that the code under test meets what the test has set.
A project that has another one overrides the fixture `progflags_client`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from progflags.flags import Client
    from progflags.testing import Pinned

__all__ = ["FlagsFixture", "flags", "progflags_client"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("progflags_file", "the flag file for tests that use flags without a default client", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "flags(**pins): pin flags to variants during the test")
    config.addinivalue_line("markers", "flag_matrix(*flags, **variants): run the test for every variant of these flags")


class FlagsFixture:
    """The client under test, with `set`: what is set is undone after the test. Every method of the client is here too."""

    def __init__(self, pinned: Pinned) -> None:
        self._pinned = pinned

    def set(self, key: str, variant: Any) -> None:
        """
        Pin a flag to a variant, by name or by value, until the test ends.

        Raises:
            ValueError: there is no such flag, or it has no such variant: the test would prove nothing.
        """
        self._pinned.update({key: variant})

    def reset(self) -> None:
        """Undo what was set so far, markers included."""
        self._pinned.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pinned.client, name)


def _client_of(config: pytest.Config) -> Client:
    from progflags.flags import NoDefaultError, default

    try:
        return default()
    except NoDefaultError:
        file = config.getini("progflags_file")
        if not file:
            raise pytest.UsageError(
                "which flags? call pf.set_default(flags) in conftest.py, name a file as progflags_file in pytest's configuration, "
                "or override the fixture progflags_client"
            ) from None
        return _loaded(str(config.rootpath / file))


@cache
def _loaded(path: str) -> Client:
    from progflags._connect import connect

    return connect(path, poll=None, control=False)


@pytest.fixture
def progflags_client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The client that `flags` and the markers pin flags on; override it to bring your own."""
    from progflags.flags import given, set_default

    client = _client_of(request.config)
    lent = given(None) is None
    if lent:
        set_default(client)
    yield client
    if lent and given(None) is client:  # a test that has set another one keeps it
        set_default(None)


@pytest.fixture
def flags(_progflags_pins: Pinned) -> FlagsFixture:
    """The client under test; see FlagsFixture."""
    return FlagsFixture(_progflags_pins)


@pytest.fixture
def _progflags_pins(progflags_client: Any) -> Iterator[Pinned]:
    from progflags.testing import Pinned

    pinned = Pinned(progflags_client)
    yield pinned
    pinned.clear()


@pytest.fixture(autouse=True)
def _progflags_marks(request: pytest.FixtureRequest) -> None:
    """Carry out the markers; a test without one costs a look at its markers."""
    case = getattr(request, "param", None)
    if case is None and request.node.get_closest_marker("flag_matrix"):
        raise pytest.UsageError("flag_matrix names no flag, or stands at a unittest method, which pytest can't run several times")
    wanted: list[Mapping[str, Any]] = [] if case is None else [case]
    for mark in reversed(list(request.node.iter_markers("flags"))):  # the outermost first, so that the nearest wins
        wanted += [_pins(pins) for pins in (*mark.args, mark.kwargs)]
    # One by one: `new_search` here and `new-search` there are the same flag.
    for pins in filter(None, wanted):
        request.getfixturevalue("_progflags_pins").update(pins)


def _pins(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise pytest.UsageError(f'the marker says which variant: @pytest.mark.flags(new_search="on"), or a mapping, not {given!r}')
    return given


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    axes: dict[str, list[Any]] = {}
    for mark in metafunc.definition.iter_markers("flag_matrix"):
        for key in mark.args:
            axes[key] = _variants(metafunc.config, key)
        axes.update({key: [variants] if isinstance(variants, str) else list(variants) for key, variants in mark.kwargs.items()})
    if axes:
        cases = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
        names = [",".join(f"{key}={value}" for key, value in case.items()) for case in cases]
        metafunc.parametrize("_progflags_marks", cases, indirect=True, ids=names)


def _variants(config: pytest.Config, key: str) -> list[str]:
    from progflags.flags import suggest

    definitions = _client_of(config).definitions
    known = {} if definitions is None else definitions.flags
    key = key if key in known else key.replace("_", "-")
    if key not in known:
        hint = suggest(key, known)
        raise pytest.UsageError(f"flag_matrix: there is no flag {key!r}{f' ({hint})' if hint else ''}")
    return list(known[key].variants)
