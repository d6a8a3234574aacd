"""What loading costs, what looking at an unchanged file costs, and how long another thread waits while a big file reloads."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from progflags.errors import MissingExtraError
from progflags.sources import FileSource, Loader
from progflags.sources._yaml import need_yaml

_FORMS = ("json", "toml", "yaml")


def main() -> None:
    """Print two tables."""
    with tempfile.TemporaryDirectory() as folder:
        _loading(Path(folder))
        _stall(Path(folder))


def _loading(folder: Path) -> None:
    print(f"{'file':14} {'bytes':>10} {'load':>10} {'unchanged look':>16}")
    for count, form in ((100, "toml"), (1_000, "json"), (1_000, "toml"), (1_000, "yaml"), (10_000, "json")):
        if not _can(form):
            continue
        path = _write(folder, form, count)
        loader = Loader(FileSource(path, pause=lambda _: None))  # a file written this very second is read twice, 50 ms apart
        first = _timed(loader.first)
        look = min(_timed(loader.load) for _ in range(20))
        print(f"{count:6,} {form:7} {path.stat().st_size:10,} {first * 1e3:7.0f} ms {look * 1e6:13.0f} µs")


def _stall(folder: Path) -> None:
    """A thread that wants to run every millisecond, beside one that reloads about a megabyte again and again."""
    print(f"\n{'1 MB of':14} {'reloads':>10} {'extra delay p50':>16} {'p99':>9} {'max':>9}   (ms; the machine's own: first line)")
    for form in ("nothing", *_FORMS):
        if not _can(form):
            continue
        reloads = [0]
        with _reloading(folder, form, reloads) if form != "nothing" else _idle():
            delays = _delays(3.0)
        cuts = quantiles(delays, n=100)
        print(f"{form:14} {reloads[0]:10} {cuts[49]:16.2f} {cuts[98]:9.2f} {max(delays):9.2f}")


@contextmanager
def _idle() -> Iterator[None]:
    yield


@contextmanager
def _reloading(folder: Path, form: str, reloads: list[int]) -> Iterator[None]:
    path = _write(folder, form, 7_000)
    whole = path.read_bytes()
    loader = Loader(FileSource(path, pause=lambda _: None))
    loader.first()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            reloads[0] += 1
            path.write_bytes(whole + (b"\n" if reloads[0] % 2 else b"\n\n"))
            loader.load()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _delays(seconds: float) -> list[float]:
    found, until = [], time.monotonic() + seconds
    while (before := time.perf_counter()) and time.monotonic() < until:
        time.sleep(0.001)
        found.append((time.perf_counter() - before - 0.001) * 1e3)
    return found


def _write(folder: Path, form: str, count: int) -> Path:
    flags = {f"flag-{n}": {"percent": n % 100, "owner": "team-a", "description": f"Number {n} of many, in words"} for n in range(count)}
    text = json.dumps({"flags": flags}, indent=1)
    if form == "toml":
        line = '[flags.{}]\npercent = {}\nowner = "team-a"\ndescription = "{}"\n'
        text = "".join(line.format(key, flag["percent"], flag["description"]) for key, flag in flags.items())
    elif form == "yaml":
        text = "flags:\n" + "".join(
            f" {key}:\n  percent: {flag['percent']}\n  owner: team-a\n  description: {flag['description']}\n" for key, flag in flags.items()
        )
    path = folder / f"flags-{count}.{form}"
    path.write_text(text)
    os.utime(path, (0, 0))
    return path


def _can(form: str) -> bool:
    try:
        return form != "yaml" or bool(need_yaml())
    except MissingExtraError:
        return False


def _timed(act: Callable[[], object]) -> float:
    before = time.perf_counter()
    act()
    return time.perf_counter() - before
