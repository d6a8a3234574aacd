"""The classic pipeline takes the time it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "classic_pipeline.py"


def example():
    spec = importlib.util.spec_from_file_location("classic_pipeline", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_classic_pipeline_takes_twenty_nine_hours_and_a_quarter():
    """1 % for 15 minutes, 10 % for an hour, 50 % for four, 100 % watched for a day: unattended, in that order, never sooner."""
    moves = list(example().climb())

    ramps = [(minute, move.percent) for minute, move in moves if move.target in ("ramping", "watching")]
    assert ramps == [(0, 1), (15, 10), (75, 50), (315, 100)]
    assert (moves[-1][0], moves[-1][1].target) == (29 * 60 + 15, "completed")


def test_a_bad_release_does_not_outlive_the_first_stage():
    moves = list(example().climb(bad=True))

    assert moves[-1][1].target == "rolled_back"
    assert moves[-1][0] < 15
    assert max(move.percent for _, move in moves) == 1
