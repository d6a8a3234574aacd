"""A client with three flags (`on`, `off`, `half`), and an engine of each test's own so that no test spends another's budget."""

import gc
import threading

import pytest

from progflags._clock import SYSTEM
from progflags.darklaunch import Engine
from progflags.events import Bus
from progflags.flags import Client, parse

FLAGS = {
    "on": {"percent": 100},
    "off": {"percent": 0},
    "half": {"percent": 50},
    "tenth": {"percent": 10},
    "variant": {"percent": 0},
}


def make_client(flags=FLAGS, clock=SYSTEM):
    client = Client(bus=Bus(), clock=clock)
    client.install(parse({"flags": flags}, file="<dict>", lines=lambda _: None))
    return client


@pytest.fixture
def flags():
    return make_client()


@pytest.fixture
def engine(monkeypatch):
    """An engine with so much CPU that only tests of the budget meet it."""
    made = Engine(cpu=100.0, burst=1000.0)
    monkeypatch.setattr("progflags.darklaunch.lanes._engine._engine", made)
    return made


@pytest.fixture
def release():
    """An event that hanging candidates wait for; set when the test ends, so that no thread outlives it for long."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture(autouse=True)
def _no_leftovers():
    yield
    gc.collect()
