"""Log events: evaluations, as often as asked for, and what changes, always."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Final

from progflags._printed import quoted
from progflags.events import Braked, Compared, Judged, Moved, Reloaded
from progflags.flags import Client
from progflags.telemetry import _names as names
from progflags.telemetry._names import error_type, reason
from progflags.telemetry._outbox import Outbox

__all__ = ["EVENTS", "Events"]

EVENTS: Final = ("off", "changes", "sampled", "all")
_ONE_IN: Final = 100  # of `sampled`; the first of each outcome is always among them
_PATHS: Final = 20  # of a mismatch, in one event
_INFO, _WARN = 9, 13


class Events:
    """
    Tells evaluations and changes as OpenTelemetry log events.

    `feature_flag.evaluation` by the semantic conventions: `all` of them, one in a hundred (`sampled`), or one for each flag,
    variant and reason after every change of the flag (`changes`). Keys, variants, reasons and revisions; never a value, never
    who asked.
    """

    def __init__(self, client: Client, outbox: Outbox, events: str) -> None:
        if events not in EVENTS:
            raise ValueError(f"events is one of {', '.join(EVENTS)}, not {quoted(events)}")
        self._client = client
        self._outbox = outbox
        self._seen: set[tuple[str, str | None, str]] = set()
        self._verdicts: dict[str, str] = {}
        self._mismatches: dict[str, count[int]] = {}
        self._sampling: dict[tuple[str, str | None, str], count[int]] = {}
        hear = partial(client.bus.listen, ours=True)  # in the trace it happens in; what is told waits in a queue
        self._unlisten: list[Callable[[], None]] = [
            hear(Moved, self._on_moved),
            hear(Judged, self._on_judged),
            hear(Braked, self._on_braked),
            hear(Compared, self._on_compared),
            hear(Reloaded, self._on_reloaded),
        ]
        if events != "off":
            each = {"all": self._evaluated, "sampled": self._sampled, "changes": self._first}[events]
            self._unlisten.append(client.watch(each))

    def close(self) -> None:
        for unlisten in self._unlisten:
            unlisten()

    # -- evaluations --------------------------------------------------------------------------------------------------

    def _evaluated(self, flag: str, variant: str | None, why: str, code: str | None) -> None:
        attributes: dict[str, Any] = {names.KEY: flag, names.REASON: reason(why), names.PROVIDER: names.SCOPE}
        if variant is not None:
            attributes[names.VARIANT] = variant
        if code is not None:
            attributes[names.ERROR_TYPE] = error_type(code)
        attributes[names.VERSION] = str(self._client.live(flag).revision)
        if (snapshot := self._client.definitions) is not None and snapshot.environment:
            attributes[names.SET] = snapshot.environment
        self._outbox.put(names.EVALUATED, attributes)

    def _sampled(self, flag: str, variant: str | None, why: str, code: str | None) -> None:
        if next(self._sampling.setdefault((flag, variant, why), count())) % _ONE_IN == 0:
            self._evaluated(flag, variant, why, code)

    def _first(self, flag: str, variant: str | None, why: str, code: str | None) -> None:
        outcome = (flag, variant, why)
        if outcome not in self._seen:
            self._seen.add(outcome)
            self._evaluated(flag, variant, why, code)

    # -- changes ------------------------------------------------------------------------------------------------------

    def _on_reloaded(self, event: Reloaded) -> None:
        changed = set(event.changed)
        self._seen = {outcome for outcome in tuple(self._seen) if outcome[0] not in changed}

    def _on_moved(self, event: Moved) -> None:
        self._outbox.put(
            names.MOVED,
            {
                names.ROLLOUT: event.flag,
                names.SOURCE: str(event.source),
                names.TARGET: str(event.target),
                names.CAUSE: event.reason,
                "progflags.rollout.exposure": event.percent / 100,
                names.VERSION: str(event.revision),
            },
            severity=_WARN if event.target in ("rolling_back", "rolled_back") else _INFO,
        )

    def _on_judged(self, event: Judged) -> None:
        """Every tick judges; only a verdict that differs from the last one is news."""
        verdict = str(event.decision)
        if self._verdicts.get(event.flag) == verdict:
            return
        self._verdicts[event.flag] = verdict
        attributes = {names.ROLLOUT: event.flag, names.VERDICT: verdict.lower(), names.CAUSE: event.reason}
        self._outbox.put(names.JUDGED, attributes, severity=_WARN if verdict == "ROLLBACK" else _INFO)

    def _on_braked(self, event: Braked) -> None:
        attributes = {names.ROLLOUT: event.flag, names.VERDICT: "brake", names.CAUSE: event.reason}
        self._outbox.put(names.JUDGED, attributes, severity=_WARN)

    def _on_compared(self, event: Compared) -> None:
        """One mismatch in a hundred, the first among them, by path: what differed is in the samples, redacted, not here."""
        if event.outcome == "mismatch" and next(self._mismatches.setdefault(event.flag, count())) % _ONE_IN == 0:
            self._outbox.put(names.MISMATCHED, {names.KEY: event.flag, "progflags.shadow.paths": event.paths[:_PATHS]})
