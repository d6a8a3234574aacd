"""What a dark launch recorded can be run again, offline, once the bug is thought to be fixed."""

import copy
import importlib
import json

import pytest

from progflags.cli._shadow_replay import shadow_replay
from progflags.darklaunch import dark_launch
from progflags.errors import ProgflagsError
from progflags.flags import set_default

from .conftest import make_client

MODULE = """
from progflags.darklaunch import dark_launch
FIXED = False
def candidate(n, *, factor=2):
    return {"total": n * factor + (1 if n == 3 and not FIXED else 0)}
@dark_launch("on", candidate=candidate, executor="inline", record="RECORD", capture=True)
def price(n, *, factor=2):
    return {"total": n * factor}
class Owner:
    @dark_launch("on", candidate=lambda self, n: 0, executor="inline", record="RECORD", capture=True)
    def method(self, n):
        return n
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    record = tmp_path / "record.jsonl"
    (tmp_path / "replayed_module.py").write_text(MODULE.replace("RECORD", str(record)))
    monkeypatch.syspath_prepend(tmp_path)
    set_default(make_client())
    made = importlib.import_module("replayed_module")
    made = importlib.reload(made)
    made.record = record
    yield made
    set_default(None)


def test_a_disagreement_is_reproduced_and_then_gone(module, capsys):
    for n in range(5):
        module.price(n, factor=3)
    module.Owner().method(1)

    assert shadow_replay(module.record, as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["outcomes"] == {"mismatch": 1}
    assert told["paths"] == {"$.total": 1}
    assert any("method" in reason for reason in told["skipped"])

    module.FIXED = True
    assert shadow_replay(module.record) == 0
    assert "1 match" in capsys.readouterr().out


@pytest.mark.parametrize("isolate", ["auto", copy.deepcopy])
@pytest.mark.parametrize("aa_rate", [0.0, 1.0])
def test_the_recorded_input_is_what_the_function_was_given(flags, engine, isolate, aa_rate):
    """Whatever a candidate, or a repeat of the control, did to its copy; also where the candidate turned out to be one to await."""

    def control(items):
        items.append("control was here")
        return 1

    def candidate(items):
        items.append("candidate was here")
        return 2

    def awaited(items):
        async def answer():
            items.append("candidate was here")
            return 2

        return answer()

    for wrong in (candidate, awaited):
        told = []
        function = dark_launch("on", candidate=wrong, flags=flags, record=told.append, capture=True, isolate=isolate, aa_rate=aa_rate)(
            control
        )
        function(["a"])
        assert function.dark_launch.drain()
        assert [record["input"] for record in told] == [{"args": [["a"]], "kwargs": {}}]


def test_a_file_of_something_else_is_refused_by_line(tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_text('{"a": 1}\n')

    with pytest.raises(ProgflagsError, match="x.jsonl:1"):
        shadow_replay(file)
    with pytest.raises(ProgflagsError):
        shadow_replay(tmp_path / "absent")


def test_nothing_to_replay_is_undecided(tmp_path, capsys):
    file = tmp_path / "x.jsonl"
    file.write_text('{"flag": "f", "outcome": "mismatch", "differences": []}\n')

    assert shadow_replay(file) == 3
    assert "capture=True" in capsys.readouterr().out
