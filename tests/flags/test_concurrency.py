"""Threads, reloads, forks: one revision per evaluation, no exception, nothing lost in counting."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from progflags.context import Context
from progflags.errors import DefinitionError
from progflags.events import Bus
from progflags.flags import Client, Flag, Live, parse
from progflags.testing import ManualClock

THREADS, EACH, RELOADS = 8, 125_000, 200


@pytest.fixture(autouse=True)
def _hasty() -> Iterator[None]:
    """Threads change places a thousand times as often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def revision(number: int) -> dict[str, Any]:
    """Every flag's every answer carries the number."""
    value = f"r{number}"
    return {
        "flags": {
            "plain": {"variants": {"v": value}},
            "split": {"variants": {"a": value, "b": value}, "default": "a", "split": {"a": 1, "b": number % 7 + 1}},
            "rule": {
                "variants": {"a": value, "b": value},
                "default": "a",
                "rules": [{"when": 'plan in ["x"] and app == "1"', "serve": "b", "percent": 50}],
            },
        }
    }


def test_a_million_evaluations_across_two_hundred_reloads() -> None:
    """Half of the reloads are bad. No exception, no answer of no revision, no view of two; every answer is counted."""
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse(revision(0)))
    context = Context("user-1", {"plan": "x", "app": "1"})
    bound = Flag("plain", default="none").bind(client)
    wrong: list[object] = []
    done = threading.Event()

    def read(seed: int) -> None:
        last = last_bound = 0
        try:
            for i in range(EACH // 5):
                with_view = i % 50 == 0
                if with_view:
                    view = client.snapshot()
                    if len({view.get(flag, "none", context) for flag in ("plain", "split", "rule")}) != 1:
                        wrong.append("a view of two revisions")
                answers = [client.get("plain", "none", context), client.get("split", "none", f"u{i}"), client.get("rule", "none", context)]
                by_handle = int(bound(context).removeprefix("r"))
                answers.append(client.evaluate("split", "none", context).value)
                numbers = [last, *(int(answer.removeprefix("r")) for answer in answers)]
                if numbers != sorted(numbers):
                    wrong.append(("went back", numbers))
                # Handles follow within the same install, after the swap: never ahead, at most the one revision behind.
                if not max(last_bound, numbers[-2] - 2) <= by_handle <= numbers[-1]:
                    wrong.append(("a handle out of step", last_bound, by_handle, numbers))
                last, last_bound = numbers[-1], by_handle
        except Exception as error:
            wrong.append(error)

    def reload() -> None:
        for number in range(1, RELOADS + 1):
            with suppress(DefinitionError):
                client.install(parse(revision(number) if number % 2 == 0 else {"flags": 3}))
            done.wait(0.002)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(THREADS)] + [threading.Thread(target=reload)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    counts = client.counts()
    views = THREADS * (EACH // 5 // 50) * 3
    assert sum(counts.values()) == THREADS * EACH // 5 * 5 + views
    assert not any(reason == "ERROR" for _, _, reason in counts)


def test_kill_and_pin_race_with_readers() -> None:
    """Whatever the interleaving, an answer is one of those that some state gave."""
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": {"f": {"rollout": {}}, "g": {"requires": [{"flag": "f"}], "percent": 100}}}))
    wrong: list[object] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            answer = client.evaluate("f", None, "u")
            if (answer.variant, answer.reason) not in {("off", "STATIC"), ("on", "STATIC"), ("off", "PINNED")}:
                wrong.append(answer)
            if client.evaluate("g", None, "u").error_code:
                wrong.append("g")

    readers = [threading.Thread(target=read) for _ in range(4)]
    for thread in readers:
        thread.start()
    for i in range(200):
        client.install(live={"f": Live("f", i, 1_000_000 if i % 2 else 0)})
        if i % 5 == 0:
            client.pin("f", i)
    stop.set()
    for thread in readers:
        thread.join()
    assert wrong == []


def test_overrides_in_threads_do_not_meet() -> None:
    """Sixteen threads pin different variants at the same time, and each sees its own."""
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": {"f": {"variants": {f"v{i}": i for i in range(16)}, "default": "v0"}}}))
    wrong: list[object] = []

    def pin(number: int) -> None:
        for _ in range(100):
            with client.override({"f": f"v{number}"}):
                if client.get("f", -1, "u") != number:
                    wrong.append(number)

    threads = [threading.Thread(target=pin, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert client._ruleset is client._base
    assert client.get("f", -1, "u") == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_forked_while_a_lock_is_held_goes_on() -> None:
    """Evaluation takes no lock, and a reload in the child takes a fresh one."""
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse(revision(0)))
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with client._lock:
            held.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    child = os.fork()
    if child == 0:  # pragma: no cover - the child's lines are not seen by coverage
        try:
            client.install(parse(revision(7)))
            os._exit(0 if client.get("plain", "none", "u") == "r7" else 1)
        finally:
            os._exit(2)
    release.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert client.get("plain", "none", "u") == "r0"


def test_a_large_load_leaves_the_collector_as_it_was() -> None:
    """It waits while many flags are made, runs afterwards, and runs in a child forked in between."""
    import gc

    from progflags.flags._quiet import _pause, quiet

    with quiet(10):
        assert gc.isenabled()
    with quiet(10_000):
        with quiet(10_000):
            assert not gc.isenabled()
        assert not gc.isenabled()
        _pause.after_fork()
        assert gc.isenabled()
    assert gc.isenabled()

    with quiet(10_000):
        made = [[] for _ in range(100)]
    old = {id(thing) for thing in gc.get_objects(generation=2)}  # what was made has been looked through, and will not be with the young
    assert all(id(thing) in old for thing in made)

    gc.disable()
    try:
        with quiet(10_000):
            made = [[]]
        assert not gc.isenabled()
        assert id(made[0]) not in {id(thing) for thing in gc.get_objects(generation=2)}, "somebody's own choice is left alone"
    finally:
        gc.enable()
