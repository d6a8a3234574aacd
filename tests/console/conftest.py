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


def asking(app, token=None, **options):
    """Somebody with a token, or with none."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=True, client=options.pop("client", ("127.0.0.1", 5)))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers={**headers, **options.pop("headers", {})}, **options)


@pytest.fixture
def app(flags):
    return pf.console(flags, token=TOKENS)
