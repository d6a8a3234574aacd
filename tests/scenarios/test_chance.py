"""An application that has seeded `random` draws what it would draw without us, and the workers of one server don't draw the same."""

import ast
import os
import random
from pathlib import Path

import pytest

import progflags as pf
from progflags._chance import chance

SOURCE = Path(pf.__file__).parent


def test_an_applications_sequence_is_its_own(tmp_path):
    """Threads take their turns, calls are sampled, repeated, given to one of two candidates and kept: nothing is taken from it."""
    random.seed(20)
    with pf.connect({"flags": {"x": {"percent": 100}}}, store=f"sqlite:///{tmp_path}/live.db", poll=0.05) as flags:

        @pf.dark_launch("x", candidate=lambda at: at + 1, flags=flags, sample=0.5, aa_rate=0.5)
        def one(at):
            return at

        @pf.dark_launch("x", candidates={"v2": lambda at: at + 1, "v3": lambda at: at}, flags=flags)
        def other(at):
            return at

        for at in range(100):
            one(at)
            other(at)
        assert one.dark_launch.drain(30)
        assert other.dark_launch.drain(30)

    assert random.getstate() == random.Random(20).getstate()


def test_nothing_of_ours_draws_from_the_shared_sequence():
    """Of the module `random` only its class is used. (The demo is an application.)"""
    drawn = []
    for path in sorted(set(SOURCE.rglob("*.py")) - set((SOURCE / "cli" / "demo").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module == "random":
                names = [name.name for name in node.names]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "random":
                names = [node.attr]
            drawn += [f"{path.relative_to(SOURCE)}: {name}" for name in names if name != "Random"]

    assert not drawn


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_two_children_do_not_draw_the_same():
    """Nor does one of them draw what its parent does next."""
    drawn = []
    for _ in range(2):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, str(chance.random()).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writing)
        drawn.append(os.read(reading, 100))
        os.close(reading)
    drawn.append(str(chance.random()).encode())

    assert len(set(drawn)) == 3
