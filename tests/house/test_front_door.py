"""What `import progflags` costs, and what it offers."""

import json
import subprocess
import sys

import pytest

import progflags as pf

HEAVY = ("scipy", "numpy", "wrapt", "asyncio", "pydantic", "opentelemetry")


def in_a_fresh_interpreter(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def test_importing_loads_nothing_heavy_and_starts_no_thread():
    """`import progflags` loads none of the heavy packages and leaves one thread, the interpreter's own."""
    loaded, threads = json.loads(
        in_a_fresh_interpreter(
            "import sys, threading, progflags, json;"
            f"print(json.dumps([[m for m in {HEAVY!r} if m in sys.modules], threading.active_count()]))"
        )
    )

    assert loaded == []
    assert threads == 1


def test_evaluating_loads_no_statistics():
    """A process that only evaluates flags never pays for scipy or numpy."""
    loaded = in_a_fresh_interpreter(
        "import sys, progflags as pf;"
        "flags = pf.connect({'flags': {'new-search': {'percent': 25}}}, poll=None);"
        "[flags.is_enabled('new-search', f'u{i}') for i in range(1000)];"
        "print([m for m in ('scipy', 'numpy', 'opentelemetry') if m in sys.modules])"
    )

    assert loaded.strip() == "[]"


@pytest.mark.parametrize("name", sorted(pf.__all__))
def test_every_public_name_is_there_and_says_what_it_is(name):
    """Each name of the front door loads, and those that are not plain values have a docstring."""
    value = getattr(pf, name)

    assert name == "__version__" or value.__doc__


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        pf.nonsense  # noqa: B018
