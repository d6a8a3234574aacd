"""What loading costs, what looking at an unchanged file costs, and how long another thread waits while a big file reloads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
    """Print two tables, and a line about a document behind an address."""
    _address()
    with tempfile.TemporaryDirectory() as folder:
        _loading(Path(folder))
        _stall(Path(folder))


def _address() -> None:
    """Processor time of this process for an answer that nothing has changed; the server is another process."""
    try:
        from progflags.contrib.http import HttpSource
    except MissingExtraError:
        return
    with _serving(b'{"flags": {}}') as url:
        source = HttpSource(url, every=1e-6)
        source.read()
        cpu, began = time.process_time(), time.perf_counter()
        for _ in range(500):
            source._fetch()
        cpu, wall = (time.process_time() - cpu) * 2, (time.perf_counter() - began) * 2
        source.close()
    print(f"an address, unchanged: {cpu:.2f} ms of processor, {wall:.2f} ms in all\n")


@contextmanager
def _serving(text: bytes) -> Iterator[str]:
    code = (
        "import sys; from http.server import *\n"
        "class H(BaseHTTPRequestHandler):\n"
        "    protocol_version = 'HTTP/1.1'\n"
        "    def do_GET(self):\n"
        "        known = self.headers.get('If-None-Match')\n"
        "        self.send_response(304 if known else 200); self.send_header('ETag', 'x')\n"
        f"        text = b'' if known else {text!r}\n"
        "        self.send_header('Content-Length', str(len(text))); self.end_headers(); self.wfile.write(text)\n"
        "    def log_message(self, *_): pass\n"
        "server = HTTPServer(('127.0.0.1', 0), H); print(server.server_port, flush=True); server.serve_forever()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/flags.json"
        server.kill()


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
