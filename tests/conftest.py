"""What every test begins with: a thread that is nobody's, a log that has said nothing yet, and is listened to."""

import gc
import logging
import signal

import pytest
from hypothesis import HealthCheck, settings

from progflags import _trouble, context
from support.patience import unhurried, unhurried_defaults

__all__ = ["unhurried", "unhurried_defaults"]

# A machine that stands still for seconds has found no fault in what is tested.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


# What runs in the background of a shell's script ignores Ctrl-C, and so would the programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """What was imported and collected is there to the end; to look through it again costs a third of a second, in every test that collects garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def fresh_process(unhurried, unhurried_defaults):
    """
    Three things live as long as the process: the last request's scope, which lines were logged this minute, and the root
    logger's level, which a Celery worker raises and never lowers.
    """
    root = logging.getLogger()
    level = root.level
    context._current.set(context._NOWHERE)
    _trouble._lines.clear()
    yield
    root.setLevel(level)
