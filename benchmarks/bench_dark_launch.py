"""
What a dark launch costs its caller, as ratios against a floor measured in the same run.

Absolute microseconds differ twofold between machines and between minutes of one machine; a ratio against a bare function
(or `==`, or a trivial ASGI application) does not. Each figure is the smallest of many short interleaved rounds.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import random
import threading
import time
import timeit
from collections.abc import Callable
from statistics import median
from typing import Any

import wrapt

from benchmarks.bench_evaluate import f4
from benchmarks.kept import keep
from progflags._clock import SYSTEM
from progflags.asgi import DarkLaunchMiddleware, FlagsMiddleware
from progflags.asgi._dark_launch import _Tee
from progflags.asgi._replay import Request
from progflags.context import Context
from progflags.darklaunch import Engine, Outcome, compile_rules, dark_launch, diff, ignore, tolerance
from progflags.darklaunch.compare._exchange import MAX_BODY
from progflags.darklaunch.compare._isolate import Isolator
from progflags.darklaunch.lanes import _engine as engines
from progflags.events import Bus
from progflags.flags import Client, parse
from progflags.wsgi import DarkLaunchMiddleware as WSGIDarkLaunchMiddleware

FLAGS = {"on": {"percent": 100}, "off": {"percent": 0}, "half": {"percent": 50}, "hundredth": {"percent": 0.0001}}


def client() -> Client:
    made = Client(bus=Bus(), clock=SYSTEM)
    made.install(parse({"flags": FLAGS}, file="<dict>", lines=lambda _: None))
    return made


def best(functions: dict[str, Callable[[], Any]], number: int, rounds: int = 25) -> dict[str, float]:
    """Microseconds per call, the smallest of interleaved rounds; each is shorter than a time slice, so that some are undisturbed."""
    found = dict.fromkeys(functions, float("inf"))
    gc.disable()
    try:
        for _ in range(rounds):
            for name, function in functions.items():
                found[name] = min(found[name], timeit.timeit(function, number=number) / number * 1e6)
    finally:
        gc.enable()
    return found


def row(name: str, microseconds: float, floor: float, bar: str = "") -> None:
    print(f"{name:<50}{microseconds:>10.2f} µs {microseconds / floor:>8.1f} ×   {bar}")


class Nowhere:
    """A lane that takes the job and forgets it: what is left is the caller's side."""

    def __init__(self) -> None:
        self.experiment: Any = None

    def room(self, owner: object = None) -> None:
        return None

    def submit(self, job: Any) -> None:
        self.experiment.conclude(job, Outcome.MATCH)


def decorator() -> None:
    flags = client()

    def bare(n: int) -> int:
        return n

    @wrapt.decorator
    def through(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    passed = through(bare)
    off = dark_launch("off", candidate=bare, flags=flags)(bare)
    out = dark_launch("half", candidate=bare, flags=flags, sample=0.0)(bare)
    shed = dark_launch("on", candidate=bare, flags=flags, max_inflight=0)(bare)
    handed = dark_launch("on", candidate=bare, flags=flags)(bare)
    lane = Nowhere()
    lane.experiment = handed.dark_launch
    handed.dark_launch.lane = lane
    functions = {"bare": bare, "wrapt": passed, "off": off, "out": out, "shed": shed, "handed": handed, **port_of_scientist(bare)}
    calls: dict[str, Callable[[], Any]] = {name: (lambda function=function: function(1)) for name, function in functions.items()}
    found = best({"empty": lambda: None, "f4": lambda: f4("salt", "user-42", 1 << 63), **calls}, 200, rounds=300)
    floor, empty, hashed = found["wrapt"], found["empty"], found["f4"]
    slower = floor / 0.53
    print("caller's side of a decorated function; floor: a wrapt decorator that does nothing (0.53 µs where the bars were set)")
    stats = handed.dark_launch.stats()
    assert stats.outcomes["match"] == stats.calls > 0, stats  # each was dispatched, or what is measured is how one is left out
    print(f"(an empty call takes {empty * 1e3:.0f} ns here, a hand-written percentage (f4 of bench_evaluate) {hashed * 1e3:.0f} ns)")
    for name, key, bar in (
        ("bare call", "bare", 0.0),
        ("wrapt pass-through", "wrapt", 0.0),
        ("flag off", "off", 1.0),
        ("sampled out", "out", 1.5),
        ("shed", "shed", 0.0),
        ("dispatched, with its conclusion", "handed", 10.0),
    ):
        told = f"bar: {bar:g} µs = {bar / 0.53:.1f} × or {bar * slower:.2f} µs here" if bar else ""
        if key not in ("bare", "wrapt"):
            keep("dark launch", name, found[key] / floor)
        row(name, found[key], floor, f"{found[key] / empty:4.0f} × empty {found[key] / hashed:5.1f} × f4   {told}")
    if "laboratory" in found:
        row("laboratory (both run, in the caller's time)", found["laboratory"], floor)
        keep("dark launch", "laboratory, both functions in the caller's time", found["laboratory"] / floor, "peer")


def port_of_scientist(bare: Callable[[int], int]) -> dict[str, Callable[[int], int]]:
    try:
        from laboratory import Experiment
    except ImportError:
        print("laboratory: not measured; install the bench group")
        return {}
    return {"laboratory": Experiment.decorator(bare)(bare)}


def document(items: int) -> dict[str, Any]:
    rng = random.Random(1)
    return {
        "items": [
            {
                "sku": f"sku-{n}",
                "price": round(rng.random() * 100, 2),
                "qty": n,
                "tags": ["a", "b", f"t{n}"],
                "meta": {"ok": True, "note": None, "weight": rng.random()},
            }
            for n in range(items)
        ],
        "total": 12.5,
    }


def diffs() -> None:
    print("\ndiff; floor: == on the same two documents (4.1 µs and 169 µs where the bars were set)")
    print("(a dark launch keeps the control's result as its imprint, and compares that with what the candidate returned)")
    rules = compile_rules([tolerance("$.items[*].price", abs=0.01), tolerance("$..weight", rel=1e-6), ignore("$.at")])
    for items, number, bars in ((38, 20, ("15 µs = 3.7 ×", "")), (1450, 1, ("0.5 ms = 3.0 ×", "4 ms = 24 ×"))):
        text = json.dumps(document(items))
        a, b, isolated = json.loads(text), json.loads(text), copy.deepcopy(json.loads(text))
        one = json.loads(text) | {"total": 13.5}
        near = json.loads(text)
        for item in near["items"]:
            item["price"] += 0.001
        isolator = Isolator()
        kept, _ = isolator.kept(a)
        found = best(
            {
                "==": lambda a=a, b=b: a == b,
                "keep": lambda a=a: isolator.kept(a),
                "kept": lambda a=kept, b=b: diff(a, b),
                "equal": lambda a=a, b=b: diff(a, b),
                "isolated": lambda a=isolated, b=b: diff(a, b),
                "one": lambda a=kept, b=one: diff(a, b),
                "near": lambda a=kept, b=near: diff(a, b, rules),
            },
            number,
            rounds=60,
        )
        print(f"{len(text):,} bytes")
        row("==", found["=="], found["=="])
        row("keeping a result, on the caller's side", found["keep"], found["=="])
        row("a kept result, equal, strict", found["kept"], found["=="], f"bar: {bars[0]}")
        row("two values, equal, strict", found["equal"], found["=="], f"bar: {bars[0]}")
        row("two values, one of them a copy", found["isolated"], found["=="], f"bar: {bars[0]}")
        row("a kept result, one difference", found["one"], found["=="])
        row("a kept result, every price within its tolerance", found["near"], found["=="], bars[1] and f"bar: {bars[1]}")
        of = f"diff of {len(text) / 1000:,.0f} kB"
        keep(of, "equal, as a dark launch compares them", found["kept"] / found["=="])
        keep(of, "two values, equal", found["equal"] / found["=="])
        keep(of, "every price within its tolerance", found["near"] / found["=="])
        against_deepdiff(a, near, found["near"], lambda theirs, of=of, floor=found["=="]: keep(of, DEEPDIFF, theirs / floor, "peer"))


DEEPDIFF = "deepdiff, two significant digits"


def against_deepdiff(a: Any, b: Any, ours: float, kept: Callable[[float], None]) -> None:
    try:
        from deepdiff import DeepDiff
    except ImportError:
        print("  (deepdiff is not installed: no comparison)")
        return
    theirs = min(timeit.repeat(lambda: DeepDiff(a, b, significant_digits=2), number=1, repeat=3)) * 1e6
    kept(theirs)
    print(f"{DEEPDIFF:<46}{theirs:>10.2f} µs = {theirs / ours:.0f} × ours    bar: 60 ×")


class TeeAlone:
    """What DarkLaunchMiddleware puts around an admitted request, without admission and dispatch: the request, the two taps."""

    def __init__(self, app: Any, door: DarkLaunchMiddleware) -> None:
        self.app = app
        self.call: Any = Forgetful(door.dark_launch)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, dict(scope["headers"]), MAX_BODY)
        tee = _Tee(self.call, request, scope, receive, send)
        await self.app(scope, tee.receive, tee.send)
        if not tee.handed:
            tee.ended(None)


class Forgetful:
    """A call, and an experiment, that hear the end of a request and do nothing."""

    def __init__(self, experiment: Any) -> None:
        self.experiment = self
        self.flag = experiment.flag

    def timed(self, seconds: float) -> None: ...

    def dispatch(self, call: Any) -> None: ...


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": BODY})


BODY = b"x" * 4096
HEADERS = [(f"header-{n}".encode(), b"value") for n in range(8)]


def asgi() -> None:
    flags = client()

    async def five(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(5):
            flags.is_enabled("half")
        await answer(scope, receive, send)

    off = DarkLaunchMiddleware(answer, flag="off", candidate=answer, flags=flags)
    known = FlagsMiddleware(answer, flags=flags, context=lambda _: Context("u1"))
    asking = FlagsMiddleware(five, flags=flags, context=lambda _: Context("u1"))
    teed = DarkLaunchMiddleware(answer, flag="on", candidate=answer, flags=flags)
    lane = Nowhere()
    lane.experiment = teed.dark_launch
    teed.dark_launch.lane = lane

    class Through:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(_: Any) -> None:
        pass

    def request(app: Any) -> Callable[[], None]:
        def drive() -> None:
            scope = {"type": "http", "method": "GET", "path": "/", "headers": HEADERS}
            coroutine = app(scope, receive, send)
            try:
                coroutine.send(None)
            except StopIteration:
                return
            raise AssertionError("it waited")

        return drive

    found = best(
        {
            "bare": request(answer),
            "through": request(Through(answer)),
            "known": request(known),
            "asking": request(asking),
            "off": request(off),
            "tee": request(teed),
            "tee alone": request(TeeAlone(answer, teed)),
        },
        100,
        rounds=300,
    )
    print("\nASGI middleware; floor: the trivial application alone (0.46 µs where the bars were set)")
    row("application", found["bare"], found["bare"])
    row("a middleware that does nothing, added", found["through"] - found["bare"], found["bare"])
    row("flags' middleware, no flag asked, added", found["known"] - found["bare"], found["bare"])
    row("flags' middleware, five flags asked, added", found["asking"] - found["bare"], found["bare"])
    row("gate, added", found["off"] - found["bare"], found["bare"], "bar: 0.5 µs = 1.1 ×")
    row("tee of 2 × 4 KiB, added", found["tee alone"] - found["bare"], found["bare"], "bar: 2 µs = 4.3 ×")
    row("gate, tee, admission, dispatch and conclusion", found["tee"] - found["bare"], found["bare"])
    for name, key in (
        ("FlagsMiddleware, no flag asked", "known"),
        ("FlagsMiddleware, five flags asked", "asking"),
        ("DarkLaunchMiddleware, flag off", "off"),
        ("DarkLaunchMiddleware, request and answer of 4 KiB kept, handed on", "tee"),
    ):
        keep("request", name, (found[key] - found["bare"]) / found["bare"])
    against_base(answer, receive, send, found["bare"], {"gate": found["off"] - found["bare"], "tee": found["tee alone"] - found["bare"]})


def against_base(app: Any, receive: Any, send: Any, floor: float, ours: dict[str, float]) -> None:
    try:
        from starlette.middleware.base import BaseHTTPMiddleware
    except ImportError:
        return

    async def passing(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    base = BaseHTTPMiddleware(app, dispatch=passing)

    async def many(app: Any, number: int = 300) -> float:
        began = time.perf_counter()
        for _ in range(number):
            await app({"type": "http", "method": "GET", "path": "/", "headers": HEADERS}, receive, send)
        return (time.perf_counter() - began) / number * 1e6

    theirs = min(asyncio.run(many(base)) for _ in range(5)) - min(asyncio.run(many(app)) for _ in range(5))
    keep("request", "Starlette's BaseHTTPMiddleware that does nothing", theirs / floor, "peer")
    told = ", ".join(f"{theirs / taken:.0f} × our {name}" for name, taken in ours.items())
    print(f"{'BaseHTTPMiddleware, added':<46}{theirs:>10.2f} µs = {told}    bar: 50 ×")


def wsgi() -> None:
    flags = client()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [BODY]

    off = WSGIDarkLaunchMiddleware(app, flag="off", candidate=app, flags=flags)
    teed = WSGIDarkLaunchMiddleware(app, flag="on", candidate=app, flags=flags)
    lane = Nowhere()
    lane.experiment = teed.dark_launch
    teed.dark_launch.lane = lane
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.input": None, **{f"HTTP_H{n}": "v" for n in range(8)}}

    def start(*_: Any) -> None: ...

    found = best(
        {"bare": lambda: app(dict(environ), start), "off": lambda: off(dict(environ), start), "tee": lambda: teed(dict(environ), start)},
        100,
        rounds=300,
    )
    print("\nWSGI middleware; floor: the trivial application alone")
    row("application", found["bare"], found["bare"])
    row("gate, added", found["off"] - found["bare"], found["bare"])
    row("tee and dispatch, added", found["tee"] - found["bare"], found["bare"])


def tail() -> None:
    """
    The control's p99 beside a candidate that computes for 10 ms, under the default budget.

    1 ms of Python with five tiny waits, as a request has them: at each it must win the interpreter back.
    """
    flags = client()
    engines._engine = Engine()

    def compute(seconds: float) -> None:
        until = time.thread_time() + seconds
        while time.thread_time() < until:
            sum(range(200))

    def control() -> None:
        for _ in range(5):
            compute(0.0002)
            time.sleep(0.0001)

    shadowed = dark_launch("on", candidate=lambda: compute(0.010), flags=flags)(control)

    def p99(function: Callable[[], Any], seconds: float = 2.0) -> float:
        taken = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            began = time.perf_counter()
            function()
            taken.append(time.perf_counter() - began)
        return sorted(taken)[int(len(taken) * 0.99)] * 1e3

    p99(shadowed, 1.0)  # the burst the budget starts with
    bare, dressed = [], []
    for _ in range(6):
        bare.append(p99(control))
        dressed.append(p99(shadowed))
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(200))

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    free = p99(control)
    stop.set()
    thread.join()
    stats = shadowed.dark_launch.stats()
    ratio = median(b / a for a, b in zip(bare, dressed, strict=True))
    print("\nthe control's p99 beside a candidate that computes for 10 ms; median of six interleaved pairs")
    print(f"without shadows {median(bare):.2f} ms, with {median(dressed):.2f} ms: {ratio:.2f} ×   bar: 1.1 ×")
    print(f"(one unbudgeted thread that computes: {free:.2f} ms; {stats.outcomes['match']} of {stats.calls} calls were shadowed)")


def shown() -> None:
    engines._engine = Engine(cpu=1000.0, burst=1000.0, queued=10**9)
    decorator()
    diffs()
    asgi()


def main() -> None:
    shown()
    wsgi()
    tail()


if __name__ == "__main__":
    main()
