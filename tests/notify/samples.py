"""Messages to send, and texts that somebody may have chosen with care."""

from __future__ import annotations

from progflags.notify import Message, Severity

HOSTILE = "<!channel> & <https://evil.example|here> *b* [x](https://evil.example) @everyone `c` \u202e"


def message(**changes):
    """A rollback of `new-checkout`, unless it is said otherwise."""
    fields = {
        "id": "new-checkout#7",
        "kind": "transition",
        "flag": "new-checkout",
        "thread": "rollout/new-checkout/1",
        "severity": Severity.CRITICAL,
        "title": "new-checkout was rolled back: everybody has the control again",
        "said": ("10:00:00Z baking → rolled_back at 0 % by controller: error_rate is 40 %",),
        "do": "progflags report new-checkout says why",
        "link": "https://flags.example.com/rollouts/new-checkout",
        "owner": "payments",
        "tags": ("pay", "web"),
        "at": 1_800_000_000.0,
        "changes": ({"id": "new-checkout#7", "to": "rolled_back"},),
    }
    return Message(**{**fields, **changes})
