"""
Our own signals as OpenTelemetry metrics.

What happens on a request's path is counted by the house itself and read when a collector asks (observable instruments), so
an evaluation pays nothing for telemetry. What happens rarely and elsewhere, a transition, a judgement, a finished shadow, is
recorded when it is told.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from opentelemetry.metrics import MeterProvider, Observation, get_meter

from progflags import __version__
from progflags._process import in_child
from progflags._trouble import swallow
from progflags.darklaunch import experiments
from progflags.errors import ClosedError
from progflags.events import Braked, Compared, Exposed, Judged, Moved
from progflags.flags import Client
from progflags.rollout import State
from progflags.telemetry import _names as names
from progflags.telemetry._names import Metric, reason
from progflags.telemetry._observed import observed

__all__ = ["Metrics"]

_BAD_SHADOW = frozenset({"candidate_error", "timeout", "abandoned", "control_error_mismatch"})


class Metrics:
    """The instruments of one client on one provider."""

    def __init__(self, client: Client, provider: MeterProvider | None) -> None:
        self._client: Client | None = client
        self._exposed = _Tally()
        self._shadows = _Tally()
        self._alarmed: dict[str, float] = {}
        self._meter = get_meter(names.SCOPE, __version__, provider, names.SCHEMA_URL)
        self._observed = observed(provider)
        self._unread: list[Callable[[], None]] = []
        self._observe(names.EVALUATIONS, self._evaluations)
        self._observe(names.EXPOSURES, self._exposures)
        self._observe(names.SHADOWS, self._comparisons)
        self._observe(names.STATUS, self._states)
        self._observe(names.EXPOSURE, self._shares)
        self._observe(names.SNAPSHOT_AGE, self._age)
        self._transitions = self._create(names.TRANSITIONS)
        self._rollback = self._create(names.ROLLBACK)
        self._gates = self._create(names.GATES)
        self._gate_seconds = self._create(names.GATE_DURATION)
        self._shadow_seconds = self._create(names.SHADOW_DURATION)
        self._shadow_score = self._create(names.SHADOW_SCORE)
        hear = partial(client.bus.listen, ours=True)
        self._unlisten: tuple[Callable[[], None], ...] = (
            hear(Exposed, self._on_exposed),
            hear(Compared, self._on_compared),
            hear(Judged, self._on_judged),
            hear(Braked, self._on_braked),
            hear(Moved, self._on_moved),
        )

    def close(self) -> None:
        """Record and observe nothing from now on; a provider keeps instruments for ever, so they stay, silent."""
        for end in (*self._unlisten, *self._unread):
            end()
        self._client = None

    # -- instruments --------------------------------------------------------------------------------------------------

    def _create(self, metric: Metric) -> Any:
        advice = {"explicit_bucket_boundaries_advisory": metric.boundaries} if metric.boundaries else {}
        return getattr(self._meter, f"create_{metric.kind}")(metric.name, unit=metric.unit, description=metric.description, **advice)

    def _observe(self, metric: Metric, read: Callable[[Client], Iterator[Observation]]) -> None:
        def reading() -> Iterable[Observation]:
            client = self._client
            return () if client is None else read(client)

        self._unread.append(self._observed.add(self._meter, metric, reading))

    # -- read when asked ----------------------------------------------------------------------------------------------

    def _evaluations(self, client: Client) -> Iterator[Observation]:
        for (flag, variant, why), count in client.counts().items():
            yield Observation(count, _present({names.KEY: flag, names.VARIANT: variant, names.REASON: reason(why)}))

    def _exposures(self, _: Client) -> Iterator[Observation]:
        for (flag, variant), count in self._exposed.read():
            yield Observation(count, {names.KEY: flag, names.VARIANT: variant, names.ROLLOUT: flag})

    def _comparisons(self, client: Client) -> Iterator[Observation]:
        for (flag, outcome), count in self._shadows.read():
            yield Observation(count, {names.KEY: flag, names.OUTCOME: outcome})
        for (flag, why), count in _shed(client).items():
            yield Observation(count, {names.KEY: flag, names.OUTCOME: "shed", names.SHED: why})

    def _states(self, client: Client) -> Iterator[Observation]:
        for flag in _rollouts(client):
            try:
                now = client.rollouts.status(flag).state  # type: ignore[attr-defined] # a connected client has them
            except ClosedError:  # evaluation goes on after `close`, rollouts don't
                return
            except Exception as error:
                swallow(f"telemetry {names.STATUS.name}", error)
                continue
            for state in State:
                yield Observation(int(state == now), {names.ROLLOUT: flag, names.STATE: str(state)})

    def _shares(self, client: Client) -> Iterator[Observation]:
        for flag in _rollouts(client):
            live = client.live(flag)
            stopped = client.panicking or live.killed is not None
            yield Observation(0.0 if stopped else (live.share or 0) / 1_000_000, {names.ROLLOUT: flag})

    def _age(self, client: Client) -> Iterator[Observation]:
        status = client.status()  # type: ignore[attr-defined] # a connected client has one
        # The scheme alone: a store's address may name hosts, paths and people.
        yield Observation(status.age, {names.STORE: status.store.partition(":")[0] or "memory"})

    # -- recorded when told -------------------------------------------------------------------------------------------

    def _on_exposed(self, event: Exposed) -> None:
        self._exposed.add(event.exposure.flag, event.exposure.variant)

    def _on_compared(self, event: Compared) -> None:
        self._shadows.add(event.flag, str(event.outcome))
        if event.candidate is None:
            return
        if event.control is not None:
            self._shadow_seconds.record(event.control, {names.KEY: event.flag, names.SIDE: "live"})
        # The outcome, never the exception's text: a message holds whatever the candidate choked on.
        failed = {names.ERROR_TYPE: str(event.outcome)} if event.outcome in _BAD_SHADOW else {}
        self._shadow_seconds.record(event.candidate, {names.KEY: event.flag, names.SIDE: "shadow", **failed})
        if event.score is not None:
            which = {names.CANDIDATE: event.candidate_name} if event.candidate_name else {}
            self._shadow_score.record(event.score, {names.KEY: event.flag, **which})

    def _on_judged(self, event: Judged) -> None:
        for finding in event.findings:
            verdict = str(finding.get("decision") or ("PASS" if finding.get("passed") else "HOLD"))
            self._gates.add(1, {names.ROLLOUT: event.flag, names.GATE: str(finding.get("metric", "")), names.VERDICT: verdict.lower()})
        self._gate_seconds.record(event.seconds, {names.ROLLOUT: event.flag})
        if event.decision == "ROLLBACK":
            self._alarm(event.flag)

    def _on_braked(self, event: Braked) -> None:
        self._alarm(event.flag)

    def _alarm(self, flag: str) -> None:
        client = self._client
        if client is not None:
            self._alarmed.setdefault(flag, client.clock.monotonic())

    def _on_moved(self, event: Moved) -> None:
        self._transitions.add(
            1,
            {
                names.ROLLOUT: event.flag,
                names.SOURCE: str(event.source),
                names.TARGET: str(event.target),
                # Who, by class: a person's name is theirs, and reasons are free text.
                names.CAUSE: "controller" if event.actor == "controller" else "operator",
            },
        )
        if event.target == State.ROLLING_BACK:
            return
        began, client = self._alarmed.pop(event.flag, None), self._client
        if began is not None and client is not None and event.target == State.ROLLED_BACK:
            self._rollback.record(client.clock.monotonic() - began, {names.ROLLOUT: event.flag, names.EXTENT: "local"})


def _shed(client: Client) -> Counter[tuple[str, str]]:
    """Shadows of this client's that were left out, by flag and reason: nobody is told of each, for there may be very many."""
    found = Counter[tuple[str, str]]()
    for experiment in experiments():
        if experiment.gate.client is client:
            found.update({(experiment.flag, why): count for why, count in experiment.record.shed_so_far.items()})
    return found


def _rollouts(client: Client) -> list[str]:
    snapshot = client.definitions
    return (
        []
        if snapshot is None
        else [key for key, flag in snapshot.flags.items() if flag.rollout is not None or client.live(key).edit is not None]
    )


def _present(attributes: dict[str, str | None]) -> dict[str, str]:
    """Without what is not known: unknown flags share one series, so that a caller's typo can't make many."""
    return {name: value for name, value in attributes.items() if value}


class _Tally:
    """Counts by two words, exact under threads; a forked child goes on from what it inherited."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def add(self, one: str, other: str) -> None:
        with self._lock:
            self._counts[one, other] = self._counts.get((one, other), 0) + 1

    def read(self) -> list[tuple[tuple[str, str], int]]:
        with self._lock:
            return list(self._counts.items())
