"""What every test begins with: a thread that is nobody's, a log that has said nothing yet, and is listened to."""

import logging

import pytest
from hypothesis import HealthCheck, settings

from progflags import _trouble, context
from support.patience import unhurried, unhurried_defaults

__all__ = ["unhurried", "unhurried_defaults"]

# A machine that stands still for seconds has found no fault in what is tested.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def fresh_process(unhurried, unhurried_defaults):
    """
    Three things live as long as the process: the last request's scope, which lines were logged this minute, and the root
    logger's level, which a Celery worker raises and never lowers.
    """
    root = logging.getLogger()
    level = root.level
    context._current.set(None)
    _trouble._lines.clear()
    yield
    root.setLevel(level)
