"""Who is not given the flag's value has not been served it."""

import logging

import pytest

from progflags._clock import SYSTEM
from progflags.events import Bus, Exposed
from progflags.flags import Client, Live, parse


@pytest.fixture
def client():
    client = Client(bus=Bus(), clock=SYSTEM)
    client.install(
        parse({"flags": {"new-checkout": {"rollout": {}}}}, file="<dict>"),
        {"new-checkout": Live("new-checkout", 1, 500_000, counting=True)},
    )
    return client


@pytest.mark.parametrize("ask", [lambda c: c.get("new-checkout", 3, "ann"), lambda c: c.evaluate("new-checkout", 3, "ann").value])
def test_a_type_mismatch_gives_the_default_and_meets_no_arm(client, ask):
    """The caller got 3, neither control nor candidate: no exposure, and one counted outcome, the error."""
    met = []
    client.bus.listen(Exposed, met.append)

    assert ask(client) == 3
    assert met == []
    assert [(reason, n) for (_, _, reason), n in client.counts().items()] == [("ERROR", 1)]


def test_a_thousand_made_up_names_write_one_line(client, caplog):
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            client.is_enabled(f"made-up-{number}-{id(client)}", "ann")

    assert len([record for record in caplog.records if "made-up" in record.getMessage()]) <= 1
