"""Clients with a rollout under way, without a store behind them."""

from progflags.events import Bus
from progflags.flags import Client, Live, parse
from progflags.testing import ManualClock

ROLLING = {"flags": {"new-checkout": {"rollout": {"profile": "standard"}}, "new-search": {"percent": 100}}}


def rolling(share=500_000, *, document=ROLLING, flag="new-checkout", revision=7):
    """A client whose `new-checkout` is being rolled out, at `share` ppm."""
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse(document, file="flags.toml", lines=lambda _: None), {flag: Live(flag, revision, share=share, counting=True)})
    return client


def heard(client, kind):
    """A list that fills with the events of that kind."""
    events = []
    client.bus.listen(kind, events.append)
    return events
