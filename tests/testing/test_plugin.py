"""The pytest plugin and the testing helpers, from outside: as a project's own test run sees them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from progflags.events import Bus, Reloaded, Tracked
from progflags.flags import Client, parse, set_default
from progflags.testing import ManualClock, capture, override

FLAGS = """
[flags.new-search]
percent = 0
[flags.checkout-flow]
variants = { classic = "c", fast = "f" }
default = "classic"
"""


def run(
    tmp_path: Path, tests: str, *, conftest: str = "", ini: str = "[pytest]\nprogflags_file = flags.toml\n"
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "flags.toml").write_text(FLAGS)
    (tmp_path / "pytest.ini").write_text(ini)
    (tmp_path / "conftest.py").write_text(textwrap.dedent(conftest))
    (tmp_path / "test_it.py").write_text("import threading\nimport pytest\n" + textwrap.dedent(tests))
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)  # modules of the same second and length would be taken for the old ones
    # By its entry point, as it is loaded for everybody who has it; everybody else's plugins take seconds to load.
    plugin = "progflags" if _installed() else "progflags.pytest_plugin"
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        plugin,
        "-W",
        "error",
        "-rA",
        "--strict-markers",
        str(tmp_path),
    ]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=alone)


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(point.value == "progflags.pytest_plugin" for point in entry_points(group="pytest11"))


def test_what_a_test_sets_is_undone_after_it(tmp_path: Path) -> None:
    """Other threads see it too; an unknown flag or variant fails the test."""
    done = run(
        tmp_path,
        """
        def test_one(flags):
            flags.set("new-search", "on")
            seen = []
            thread = threading.Thread(target=lambda: seen.append(flags.is_enabled("new-search", "u")))
            thread.start(); thread.join()
            assert seen == [True]
        def test_two(flags):
            assert not flags.is_enabled("new-search", "u")
            with pytest.raises(ValueError, match="did you mean 'new-search'"):
                flags.set("new-serch", "on")
            flags.set("checkout-flow", "f")
            flags.reset()
            assert flags.get("checkout-flow", "", "u") == "c"
        """,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_markers_pin_and_multiply(tmp_path: Path) -> None:
    """The nearest marker wins; a matrix runs every variant, two of them every combination."""
    done = run(
        tmp_path,
        """
        @pytest.mark.flags(new_search="on")
        class TestMarked:
            def test_outer(self, flags):
                assert flags.is_enabled("new-search", "u")
            @pytest.mark.flags({"new-search": False}, checkout_flow="fast")
            def test_inner(self, flags):
                assert (flags.is_enabled("new-search", "u"), flags.get("checkout-flow", "", "u")) == (False, "f")
        @pytest.mark.flag_matrix("checkout-flow")
        def test_every_variant(flags, request):
            assert flags.get("checkout-flow", "", "u")[0] == request.node.callspec.id.split("=")[1][0]
        @pytest.mark.flag_matrix("checkout-flow", new_search=["on", "off"])
        def test_every_pair(flags): ...
        def test_none(flags):
            assert not flags.is_enabled("new-search", "u")
        """,
    )
    assert "9 passed" in done.stdout, done.stdout + done.stderr
    assert "test_every_variant[checkout-flow=fast]" in done.stdout
    assert "test_every_pair[checkout-flow=classic,new_search=off]" in done.stdout


def test_the_default_client_is_used_where_there_is_one(tmp_path: Path) -> None:
    """Set in conftest.py; markers work without the fixture."""
    done = run(
        tmp_path,
        """
        import progflags as pf
        @pytest.mark.flags(mine="on")
        def test_it():
            assert pf.default().is_enabled("mine", "u")
        @pytest.mark.flag_matrix("mine")
        def test_both(): ...
        """,
        conftest="""
        import progflags as pf
        pf.set_default(pf.connect({"flags": {"mine": {}}}, poll=None))
        """,
        ini="[pytest]\n",
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_the_client_of_the_file_is_the_default_one_while_a_test_has_it(tmp_path: Path) -> None:
    """Or what the test sets would not reach code that asks `pf.default()`, decorators and middleware."""
    done = run(
        tmp_path,
        """
        import progflags as pf

        @pf.progressive("new-search", candidate=lambda: "new")
        def search():
            return "old"

        def test_set(flags):
            flags.set("new-search", "on")
            assert pf.default().is_enabled("new-search", "u")
            with pf.bind("u"):
                assert search() == "new"

        @pytest.mark.flags(new_search="on")
        def test_marked():
            assert pf.default().is_enabled("new-search", "u")

        def test_over():
            with pytest.raises(LookupError):
                pf.default()

        def test_keeps_its_own(flags):
            pf.set_default(own := pf.connect({"flags": {}}, poll=None))

        def test_own():
            assert pf.default().definitions.flags == {}
        """,
    )
    assert "5 passed" in done.stdout, done.stdout


def test_without_any_flags_the_error_says_what_to_do(tmp_path: Path) -> None:
    """And tests that use no flags are not concerned."""
    done = run(tmp_path, "def test_plain(): ...\ndef test_flags(flags): ...\n", ini="[pytest]\n")
    assert "1 passed, 1 error" in done.stdout, done.stdout
    assert "call pf.set_default(flags) in conftest.py" in done.stdout


def test_the_plugin_is_light() -> None:
    """Loaded in every test run of everybody who has progflags installed."""
    program = "import sys, progflags.pytest_plugin; print([m for m in ('pydantic', 'scipy', 'numpy', 'wrapt', 'asyncio', 'xxhash', 'progflags.flags') if m in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", f"import pytest, sys; before = set(sys.modules); {program}; "], capture_output=True, text=True
        ).stdout
        == "[]\n"
    )


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client(bus=Bus(), clock=ManualClock())
    made.install(parse({"flags": {"new-search": {}, "other": {}}}))
    set_default(made)
    yield made
    set_default(None)


def test_override_reaches_every_thread(client: Client) -> None:
    """By key or by keyword, nested, and as it was afterwards."""
    seen: list[bool] = []
    with override({"new-search": "on"}), override(other=True, flags=client):
        thread = threading.Thread(target=lambda: seen.extend([client.is_enabled("new-search", "u"), client.is_enabled("other", "u")]))
        thread.start()
        thread.join()
    assert seen == [True, True]
    assert not client.is_enabled("new-search", "u")
    with pytest.raises(ValueError, match="no flag"), override(nope=True):
        pass


def test_capture_collects_what_is_told(client: Client) -> None:
    """All kinds, or those asked for."""
    with capture() as everything, capture(Tracked) as some:
        client.track("click", "u")
        client.install(parse({"flags": {}}))
    client.track("click", "u")
    assert [type(event) for event in everything] == [Tracked, Reloaded]
    assert [type(event) for event in some] == [Tracked]


def test_the_nearest_marker_wins_however_it_is_spelled(tmp_path: Path) -> None:
    """`new_search` and `new-search` are one flag, at every level."""
    done = run(
        tmp_path,
        """
        @pytest.mark.flags(**{"new-search": "on"})
        class TestOuter:
            @pytest.mark.flags(new_search="off")
            class TestInner:
                @pytest.mark.flags(**{"new-search": "on"})
                def test_nearest(self, flags):
                    assert flags.is_enabled("new-search", "u")

        @pytest.mark.flag_matrix("new_search", checkout_flow="fast")
        def test_matrix(flags):
            assert flags.get("checkout-flow", "", "u") == "f"
        """,
    )

    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_a_marker_that_would_do_nothing_fails_its_test(tmp_path: Path) -> None:
    """A test that runs without its flags proves nothing: no variant named, no flag named, a method that can't run twice."""
    done = run(
        tmp_path,
        """
        import unittest

        @pytest.mark.flags("new-search")
        def test_no_variant(): pass

        @pytest.mark.flag_matrix()
        def test_no_flag(): pass

        class TestOld(unittest.TestCase):
            @pytest.mark.flag_matrix("new-search")
            def test_method(self): pass
        """,
    )

    assert "3 errors" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("UsageError: the marker says which variant") >= 1
    assert done.stdout.count("UsageError: flag_matrix names no flag") >= 2
