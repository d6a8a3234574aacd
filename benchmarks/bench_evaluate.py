"""
What an evaluation costs, as multiples of a floor measured in the same run, beside peers (bench extras) where installed.

The floor f4 is one function doing f-string + encode + xxh3_64_intdigest + compare: what a hand-written percentage costs.
Everything is timed in turns, many short rounds, and the quickest round counts: a busy machine slows all of them alike.
Cases: a static flag, b 50 % share, c rule with two conditions + 25 %, d four weighted variants.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
import timeit
import tracemalloc
from typing import Any

from xxhash import xxh3_64_intdigest

from benchmarks import peers
from benchmarks.kept import keep
from progflags._clock import SYSTEM
from progflags.context import Context, bind
from progflags.events import Bus
from progflags.flags import Client, Flag, Live, decode_json, parse

ROUNDS, CALLS = 100, 4000
KEY = "user-12345"
ATTRIBUTES = {"plan": "pro", "app": "2.4.1", "country": "DE"}
CASES = ("everybody", "half", "ruled", "layout")
DOCUMENT: dict[str, Any] = {"flags": {**{case: peers.OURS[name] for case, name in zip("abcd", CASES, strict=True)}, "r": {"rollout": {}}}}
TARGETS = {
    "is_enabled a": 1.1,
    "is_enabled b": 1.7,
    "is_enabled c": 2.4,
    "get d": 1.9,
    "is_enabled b, string key": 2.0,
    "bound a": 0.8,
    "bound b": 1.2,
    "bound c": 1.9,
    "bound d": 1.4,
}

_PEERS = {"eppo": "Eppo (a core in Rust)", "growthbook": "GrowthBook", "openfeature": "OpenFeature, in memory"}


def f4(salt: str, unit: str, limit: int) -> bool:
    return xxh3_64_intdigest(f"{salt}.{unit}".encode()) < limit


def ours() -> dict[str, Any]:
    """Name → a statement, timed with the names of `scope`."""
    client = Client(bus=Bus(), clock=SYSTEM)
    client.install(parse(DOCUMENT), {"r": Live("r", 1, 500_000, counting=True)})
    scope: dict[str, Any] = {
        "f4": f4,
        "client": client,
        "ctx": Context(KEY, ATTRIBUTES),
        "key": KEY,
        "Context": Context,
        "attributes": ATTRIBUTES,
    }
    for name in "abc":
        scope[f"bound_{name}"] = Flag(name, default=False).bind(client)
    scope["bound_d"] = Flag("d", default="a").bind(client)
    statements = {
        "floor f4": "f4('salt', key, 1 << 63)",
        "is_enabled a": "client.is_enabled('a', ctx)",
        "is_enabled b": "client.is_enabled('b', ctx)",
        "is_enabled c": "client.is_enabled('c', ctx)",
        "get d": "client.get('d', 'a', ctx)",
        "is_enabled b, string key": "client.is_enabled('b', key)",
        "bound a": "bound_a(ctx)",
        "bound b": "bound_b(ctx)",
        "bound c": "bound_c(ctx)",
        "bound d": "bound_d(ctx)",
        "is_enabled b, ambient context": "client.is_enabled('b')",
        "is_enabled b, context built per call": "client.is_enabled('b', Context(key, attributes))",
        "is_enabled, rollout that counts exposures": "client.is_enabled('r', ctx)",
        "evaluate b": "client.evaluate('b', False, ctx)",
        "Context(key, attributes)": "Context(key, attributes)",
    }
    return {name: timeit.Timer(statement, globals=scope) for name, statement in statements.items()}


def growthbook() -> dict[str, Any]:
    from growthbook import GrowthBook

    scope = {"book": GrowthBook(attributes={"id": KEY, **ATTRIBUTES}, features=peers.growthbook_features())}
    return _of("growthbook", "book.is_on('{}')", "book.get_feature_value('{}', 'a')", scope)


def eppo() -> dict[str, Any]:
    scope = {"client": peers.eppo_client(), "key": KEY, "attributes": ATTRIBUTES}
    boolean, text = (
        f"client.get_{kind}_assignment('{{}}', key, attributes, {default})" for kind, default in (("boolean", False), ("string", "'a'"))
    )
    return _of("eppo", boolean, text, scope)


def openfeature() -> dict[str, Any]:
    from openfeature.evaluation_context import EvaluationContext

    scope = {"client": peers.in_memory_client(), "context": EvaluationContext(KEY, ATTRIBUTES)}
    statement = "client.get_boolean_value('everybody', False, context)"
    return {"openfeature in-memory a": timeit.Timer(statement, globals=scope)}


def _of(peer: str, boolean: str, text: str, scope: dict[str, Any]) -> dict[str, Any]:
    statements = {case: (text if case == "d" else boolean).format(name) for case, name in zip("abcd", CASES, strict=True)}
    return {f"{peer} {case}": timeit.Timer(statement, globals=scope) for case, statement in statements.items()}


def speed() -> None:
    timers = ours()
    for peer in (eppo, growthbook, openfeature):
        try:
            timers |= peer()
        except Exception as error:
            print(f"{peer.__name__}: not measured ({type(error).__name__}: {error}); install the bench group")
    best = dict.fromkeys(timers, float("inf"))
    gc.disable()
    with bind(Context(KEY, ATTRIBUTES)):
        for timer in timers.values():
            timer.timeit(CALLS)
        for _ in range(ROUNDS):
            for name, timer in timers.items():
                best[name] = min(best[name], timer.timeit(CALLS) / CALLS)
    gc.enable()
    floor = best["floor f4"]
    print(f"{'':44} {'ns':>7} {'x f4':>6} {'target':>7}")
    for name, seconds in best.items():
        target = TARGETS.get(name)
        mark = "" if target is None else f"{target:7.1f} {'ok' if seconds / floor <= target else 'MISSED'}"
        print(f"{name:44} {seconds * 1e9:7.0f} {seconds / floor:6.2f} {mark}")
    for case, mine in zip("abcd", ("is_enabled a", "is_enabled b", "is_enabled c", "get d"), strict=True):
        for name, bound in (("progflags", mine), ("progflags, bound flag", f"bound {case}")):
            keep(f"evaluation {case}", name, best[bound] / floor)
        theirs = {
            name: seconds
            for name, seconds in best.items()
            if name.endswith(f" {case}") and name.split()[0] in ("eppo", "growthbook", "openfeature")
        }
        for name, seconds in theirs.items():
            keep(f"evaluation {case}", _PEERS[name.split()[0]], seconds / floor, "peer")
        if theirs:
            fastest = min(theirs, key=lambda name: theirs[name])
            print(f"case {case}: {theirs[fastest] / best[mine]:.1f} x faster than the fastest peer here ({fastest})")


def flags_of(number: int) -> str:
    """A JSON document of flags as applications have them, a quarter of each kind."""
    kinds = [DOCUMENT["flags"][name] for name in "abcd"]
    return json.dumps({"flags": {f"flag-{i}": {"owner": "team", "description": "What it is for", **kinds[i % 4]} for i in range(number)}})


def loading() -> None:
    for number in (1000, 10_000):
        text = flags_of(number)
        quickest = float("inf")
        for _ in range(5):
            gc.collect()
            start = time.perf_counter()
            document, lines = decode_json(text, "flags.json")
            client = Client(bus=Bus(), clock=SYSTEM)
            client.install(parse(document, file="flags.json", lines=lines))
            quickest = min(quickest, time.perf_counter() - start)
        del document, lines, client
        gc.collect()
        tracemalloc.start()
        document, lines = decode_json(text, "flags.json")
        client = Client(bus=Bus(), clock=SYSTEM)
        client.install(parse(document, file="flags.json", lines=lines))
        del document, lines
        gc.collect()
        loaded = tracemalloc.get_traced_memory()[0]
        client.evaluate_all(Context(KEY, ATTRIBUTES))
        gc.collect()
        used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        change = float("inf")
        for revision in range(1, 10):
            start = time.perf_counter()
            client.install(live={"flag-0": Live("flag-0", revision)})
            change = min(change, time.perf_counter() - start)
        print(
            f"{number:6,} flags (JSON): parse and install {quickest * 1e3:6.1f} ms, {loaded / number / 1024:.2f} KiB a flag "
            f"({used / number / 1024:.2f} once all were evaluated), one live change {change * 1e3:.2f} ms"
        )
    context = Context(KEY, ATTRIBUTES)
    client = Client(bus=Bus(), clock=SYSTEM)
    client.install(parse(json.loads(flags_of(1000))))
    client.evaluate_all(context)
    print(f"evaluate_all of 1,000 flags: {min(timeit.repeat(lambda: client.evaluate_all(context), number=5, repeat=9)) / 5 * 1e3:.2f} ms")


def importing() -> None:
    def seconds(program: str) -> float:
        times = []
        for _ in range(7):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"], check=True)
            times.append(time.perf_counter() - start)
        return min(times)

    bare, front, room = seconds("pass"), seconds("import progflags"), seconds("import progflags.flags")
    print(f"import progflags: {(front - bare) * 1e3:.1f} ms over a bare interpreter's {bare * 1e3:.1f} ({front / bare:.2f} x)")
    print(f"import progflags.flags: {(room - bare) * 1e3:.1f} ms")


shown = speed


def main() -> None:
    speed()
    loading()
    importing()
