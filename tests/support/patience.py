"""A machine may stand still for seconds: what a test of a dark launch doesn't ask about must not decide it."""

import pytest

from progflags.darklaunch._experiment import Experiment

__all__ = ["unhurried"]


@pytest.fixture
def unhurried(monkeypatch):
    """A shadow is never too old or too slow, and drains wait long, unless the test sets such a limit itself."""
    monkeypatch.setattr("progflags.darklaunch._experiment.DEADLINE", 600.0)
    monkeypatch.setattr("progflags.darklaunch._call.STALE", 600.0)
    for wait in (Experiment.drain, Experiment.adrain):
        monkeypatch.setattr(wait, "__defaults__", (60.0,))
