"""Evidence as a document, exact to the last bit, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from progflags._printed import quoted
from progflags.canary._gate import ANY, Gate
from progflags.canary._words import Kind
from progflags.canary.counting import Cells, Window, from_text, to_text
from progflags.canary.sequential._claims import claims
from progflags.canary.sequential._comparison import Ledger, Worth
from progflags.canary.sequential._means import Means
from progflags.canary.sequential._track import Track

__all__ = ["VERSION", "read", "written"]

VERSION: Final = 2


def written(evidence: Any) -> dict[str, Any]:
    """Plain JSON."""
    return {
        "v": VERSION,
        "gates": [gate.to_dict() for gate in evidence.gates],
        "alpha": evidence.alpha,
        "alphas": dict(evidence.alphas),
        "tracks": {name: track.to_json() for name, track in evidence.tracks.items()},
        "places": {name: list(places) for name, places in evidence.places.items()},
        "ledgers": {name: ledger.to_json() for name, ledger in evidence.ledgers.items()},
        "means": {name: means.to_json() for name, means in evidence.means.items()},
        "worth": {name: worth.to_json() for name, worth in evidence.worth.items()},
        "found": list(evidence.found),
        "totals": evidence.totals.to_json(),
        "since": _cells(evidence.since),
        "restarts": [[number, _cells(cells)] for number, cells in evidence.restarts.items()],
        "samples": list(evidence.samples),
        "counts": [evidence.batches, evidence.stages, int(evidence.live), evidence.warm],
        "revision": [evidence.restarted, evidence.age, int(evidence.open)],
        "looks": [evidence.looks, evidence.steps, evidence.look_at, {name: list(look) for name, look in evidence.looked.items()}],
        "modes": dict(evidence.modes),
        "broken": dict(evidence.broken),
    }


def read(body: Mapping[str, Any]) -> dict[str, Any]:
    """
    The fields of what `written` wrote.

    Of version 1 those that go on: gates, alpha, bounds and readings. Its comparisons knew no users, and begin anew.

    Raises:
        ValueError: another version wrote it.
    """
    if body.get("v") == 1:
        return _first(body)
    if body.get("v") != VERSION:
        raise ValueError(f"evidence of version {quoted(body.get('v'))} can't be read here: this is version {VERSION}")
    batches, stages, live, warm = body["counts"]
    restarted, age, still = body["revision"]
    looks, steps, look_at, looked = body["looks"]
    control, candidate = body["samples"]
    return {
        "gates": tuple(Gate.of(gate) for gate in body["gates"]),
        "alpha": float(body["alpha"]),
        "alphas": {name: float(alpha) for name, alpha in body["alphas"].items()},
        "tracks": {name: Track.from_json(track) for name, track in body["tracks"].items()},
        "places": {name: tuple(places) for name, places in body["places"].items()},
        "ledgers": {name: Ledger.from_json(ledger) for name, ledger in body["ledgers"].items()},
        "means": {name: Means.from_json(means) for name, means in body["means"].items()},
        "worth": {name: Worth.from_json(worth) for name, worth in body["worth"].items()},
        "found": tuple(body["found"]),
        "totals": Window.from_json(body["totals"]),
        "since": _columns(body["since"]),
        "restarts": {int(number): _columns(cells) for number, cells in body["restarts"]},
        "restarted": int(restarted),
        "samples": (int(control), int(candidate)),
        "batches": int(batches),
        "stages": int(stages),
        "modes": dict(body["modes"]),
        "broken": dict(body["broken"]),
        "looked": {name: (look[0], look[1]) for name, look in looked.items()},
        "look_at": int(look_at),
        "looks": int(looks),
        "steps": int(steps),
        "age": float(age),
        "open": bool(still),
        "live": bool(live),
        "warm": int(warm),
    }


def _first(body: Mapping[str, Any]) -> dict[str, Any]:
    """
    Of evidence of version 1: a rollout under way when progflags was updated goes on.

    Its alpha stays as it was divided; what its comparisons had found by then is in its history, and they start from nothing.
    """
    batches, stages, restarts, warm = body["counts"]
    gates = tuple(Gate.of(gate) for gate in body["gates"])
    kept = {claim.name for gate in gates if gate.metric != ANY for claim in claims(gate) if not claim.relative and claim.kind != Kind.MEAN}
    control, candidate = body["samples"]
    return {
        "gates": gates,
        "alpha": float(body["alpha"]),
        "alphas": {name: float(alpha) for name, alpha in body["alphas"].items()},
        "tracks": {name: Track.from_json(track) for name, track in body["tracks"].items() if name.rpartition("/")[0] in kept},
        "found": tuple(body["found"]),
        "totals": Window.from_json(body["totals"]),
        "samples": (int(control), int(candidate)),
        "batches": int(batches),
        "stages": int(stages),
        "modes": {},
        "broken": dict(body["broken"]),
        "looks": int(body["hybrid"][0]),
        "live": bool(restarts),
        "warm": int(warm),
    }


def _cells(arms: Mapping[str, Cells]) -> dict[str, dict[str, str]]:
    return {arm: {name: to_text(column) for name, column in cells.items()} for arm, cells in arms.items()}


def _columns(arms: Mapping[str, Mapping[str, str]]) -> dict[str, Cells]:
    return {arm: {name: from_text(text) for name, text in cells.items()} for arm, cells in arms.items()}
