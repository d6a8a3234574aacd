"""A console over a real client with a rollout under way, and a client that asks it as a browser or a program would."""

import httpx
import pytest

import progflags as pf
from progflags.testing import ManualClock

TOKENS = {
    "viewer-0123456789abcdef": pf.Viewer("vera"),
    "operator-0123456789abcdef": pf.Viewer("otto", ("operator",)),
    "approver-0123456789abcdef": pf.Viewer("anna", ("operator", "approver")),
}

DOCUMENT = {
    "flags": {
        "checkout": {"owner": "shop", "tags": ["payments"], "description": "The new checkout", "rollout": {"profile": "standard"}},
        "search": {
            "owner": "find",
            "rollout": {
                "stages": [{"percent": 5, "bake": "10m", "gates": [{"metric": "error_rate", "max": 0.05}]}],
                "approval": {"before": [5], "two_person": True},
            },
        },
        "banner": {"percent": 50, "owner": "shop", "description": "A line at the top"},
        "colour": {
            "variants": {"red": "#f00", "blue": "#00f"},
            "default": "red",
            "safe": "red",
            "rules": [{"name": "nordic", "when": "country in ['SE', 'NO']", "serve": "blue"}],
        },
    }
}


@pytest.fixture
def clock():
    return ManualClock(1_800_000_000.0)


@pytest.fixture
def flags(clock):
    with pf.connect(DOCUMENT, clock=clock) as client:
        client.rollouts.start("checkout", by="ann", reason="it is ready")
        yield client


@pytest.fixture
def fallen(clock):
    """A candidate that fails half of its calls from the seventh minute on, and was rolled back for it."""
    with pf.connect(DOCUMENT, clock=clock) as flags:
        flags.rollouts.start("checkout", by="ann", reason="it is ready")
        flags.rollouts.tick()
        for minute in range(12):
            for n in range(60):
                flags.metrics.record("checkout", arm="control", seconds=0.02 + n / 2000, error=n == 0, n=2)
                flags.metrics.record("checkout", arm="candidate", seconds=0.02 + n / 2000, error=minute > 6 and n < 30, n=2)
            clock.advance(30)
            flags.rollouts.tick()
        assert flags.rollouts.status("checkout").state == "rolled_back"
        yield flags


def asking(app, token=None, **options):
    """Somebody with a token, or with none."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=True, client=options.pop("client", ("127.0.0.1", 5)))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers={**headers, **options.pop("headers", {})}, **options)


@pytest.fixture
def app(flags):
    return pf.console(flags, token=TOKENS)
