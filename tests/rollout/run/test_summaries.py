"""What dark launches found, put up by every process and merged, over every store that processes share."""

from __future__ import annotations

import pytest

import progflags as pf
from rollout.places import KINDS, place


@pytest.fixture(params=KINDS)
def address(request, tmp_path):
    with place(request.param, tmp_path) as found:
        yield found


def launched(flags, candidate):
    @pf.dark_launch("prices", candidate=candidate, flags=flags, executor="inline")
    def price(n):
        return n

    return price


def test_two_clients_of_one_store_are_told_as_one_experiment(address):
    definitions = {"flags": {"prices": {"percent": 100}}}
    with pf.connect(definitions, store=address, poll=None) as one, pf.connect(definitions, store=address, poll=None) as other:
        first, second = launched(one, lambda n: n), launched(other, lambda n: n + (n == 0))
        for n in range(10):
            first(n)
            second(n)
        for flags in (one, other):
            flags.rollouts.publish()
        for flags in (one, other):
            [found] = flags.rollouts.dark_launches()
            assert found.processes == 2
            assert found.outcomes["match"] == 19
            assert dict(found.mismatches) == {"$": 1}
            assert found.control.n == found.shadow.n == 20
        second(0)
        other.rollouts.publish(at_once=True)
        [found] = one.rollouts.dark_launches()
        assert dict(found.mismatches) == {"$": 2}
