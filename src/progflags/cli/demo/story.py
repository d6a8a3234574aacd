"""Starts the demo's processes and its two rollouts, shows them live, and says whether the story went as told."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progflags.cli._say import tell_all, tell_json
from progflags.cli.demo import _facts
from progflags.cli.demo._load import USERS
from progflags.cli.demo._slack import Received, receiver
from progflags.cli.demo._timeline import Timeline

if TYPE_CHECKING:
    from progflags._connect import Flags

__all__ = ["tell"]

GOOD, BAD = "new-checkout", "new-search"
PERCENTS = [1.0, 10.0, 50.0, 100.0]
SETTLE = 1.0  # seconds a share change may take to reach both workers (0.1 s on an idle machine) before it counts as settled
PATIENCE = 100.0  # seconds for both rollouts together; the whole demo has two minutes


def tell(folder: Path | None, *, rate: float, seed: int, console: bool = True) -> int:
    """Run the demo in `folder` (a temporary one when None), with the console beside it, and return the exit code."""
    with tempfile.TemporaryDirectory(prefix="progflags-demo-") as temporary:
        home = folder or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(__file__).with_name("demo.flags.toml"), home / "demo.flags.toml")
        with receiver() as slack, _page(home) if console else nullcontext():
            return _tell(home, rate, seed, slack)


def _tell(home: Path, rate: float, seed: int, slack: Received) -> int:
    from progflags._connect import connect

    began = time.monotonic()
    tell_all(f"A shop under uvicorn: two workers, one SQLite file, {rate:g} requests a second from {USERS:,} users.")
    tell_all(f"Its flag file: {home / 'demo.flags.toml'}\n")
    with connect(home / "demo.flags.toml", store=f"sqlite:///{home / 'state.db'}", control=False) as flags:
        with _server(home) as port, _load(port, home, rate, seed):
            shadow = _shadow(port, began + PATIENCE)
            good = _follow(flags, GOOD, "release A, a good one", began + PATIENCE)
            bad = _follow(flags, BAD, "release B, a bad one", began + PATIENCE)
            told = _told(flags, slack)
            time.sleep(1.5)  # long enough to see from outside that nobody serves B any more
        summary = _summary(home, flags, shadow, (good, bad), told)
    summary["seconds"] = round(time.monotonic() - began, 1)
    _print_summary(summary)
    tell_json(summary)
    return 0 if summary["ok"] else 1


def _told(flags: Flags, slack: Received) -> float | None:
    """
    Seconds from the step that began B's rollback to Slack's message about it; None: it did not come.

    Not a number where B fell in an earlier run of a demo that was interrupted: whoever listened then was told.
    """
    fell = next((step.at for step in flags.rollouts.history(BAD) if step.target == "rolling_back"), None)
    if fell is None or fell < slack.since:
        return None if fell is None else math.nan
    return slack.seconds_after(fell, f"{BAD} was rolled back", 10.0)


def _follow(flags: Flags, key: str, title: str, until: float) -> Any:
    """Start the rollout, or go on watching one that was interrupted, until it ends; returns the last status."""
    status = flags.rollouts.status(key)
    if status.state == "draft":
        status = flags.rollouts.start(key, by="demo", reason="the demo begins")
    timeline = Timeline(title)
    while time.monotonic() < until:
        flags.refresh()
        status = flags.rollouts.status(key)
        timeline.show(status)
        if status.state in ("completed", "rolled_back", "cooling_down", "aborted"):
            break
        time.sleep(0.1)
    timeline.end(status)
    return status


def _shadow(port: int, until: float) -> dict[str, Any]:
    """Ask both workers what the shadow of the new prices has shown them, until one of them calls it unsafe."""
    tell_all("── new prices, in the shadow: compared and thrown away ──────────────────────────")
    began, seen = time.monotonic(), dict[int, dict[str, Any]]()
    while time.monotonic() < until:
        for _ in range(6):
            told = _get(port, "/dark-launch")
            seen[told["worker"]] = told
        compared = sum(told["compared"] for told in seen.values())
        paths = Counter[str]()
        for told in seen.values():
            paths.update(told["mismatches"])
        unsafe = any(told["verdict"] == "UNSAFE" for told in seen.values())
        differ = ", ".join(f"{path} in {times}" for path, times in paths.items()) or "none differ"
        tell_all(
            f"{time.monotonic() - began:5.1f}s  {compared:>6,} calls compared: {differ:<24} {'UNSAFE' if unsafe else 'UNDECIDED'}",
            flush=True,
        )
        if unsafe:
            tell_all("   → the bug is found and named; nobody was served it\n")
            return {"verdict": "UNSAFE", "paths": sorted(paths), "compared": compared}
        time.sleep(1)
    return {"verdict": "UNDECIDED", "paths": [], "compared": 0}


def _summary(home: Path, flags: Flags, shadow: dict[str, Any], ended: tuple[Any, Any], told_after: float | None) -> dict[str, Any]:
    good, bad = ended
    with (home / "facts.txt").open() as lines:
        facts = _facts.answers(lines)
    climbs = flags.rollouts.history(GOOD)
    percents = sorted({move.percent for move in climbs} - {0.0})
    changes = [now.at for before, now in zip([None, *climbs], climbs, strict=False) if before is None or before.percent != now.percent]
    peak = max((move.percent for move in flags.rollouts.history(BAD)), default=0.0)
    told: dict[str, Any] = {
        "requests": len(facts),
        "requests_lost": _facts.lost(facts),
        "users": len({answer.user for answer in facts}),
        "unstable_users": _facts.unstable_users(facts, changes, SETTLE),
        "shadow": {**shadow, "wrong_bills": _facts.wrong_bills(facts)},
        "good": {"state": str(good.state), "percents": percents},
        "bad": {
            "state": str(bad.state),
            "stage": 0 if peak == PERCENTS[0] else None,
            "percent_reached": peak,
            "users_exposed": _facts.exposed_users(facts),
            "seconds_to_zero": _facts.seconds_to_zero(facts),
            "seconds_to_message": None if told_after is None or math.isnan(told_after) else round(told_after, 2),
        },
    }
    ok = (
        told["shadow"]["paths"] == ["$.total"]
        and told["shadow"]["wrong_bills"] == 0
        and told["good"] == {"state": "completed", "percents": PERCENTS}
        and told["bad"]["state"] in ("rolled_back", "cooling_down")
        and peak == PERCENTS[0]
        and told["bad"]["users_exposed"] > 0
        and told["bad"]["seconds_to_zero"] is not None
        and told_after is not None
        and told["requests_lost"] == 0
        and told["unstable_users"] == 0
    )
    return {"ok": ok, "seconds": 0.0, **told}


def _print_summary(summary: dict[str, Any]) -> None:
    good, bad = summary["good"], summary["bad"]
    zero = "never" if bad["seconds_to_zero"] is None else f"{bad['seconds_to_zero']:.1f} s"
    shadow = summary["shadow"]
    climbed = ", ".join(f"{percent:g} %" for percent in good["percents"])
    tell_all("Seen from outside, by the load generator:")
    tell_all(f"  {summary['requests']:,} requests of {summary['users']:,} users, {summary['requests_lost']} lost")
    tell_all(f"  shadow: {shadow['verdict']} at {', '.join(shadow['paths']) or 'no path'}; {shadow['wrong_bills']} people got a wrong bill")
    tell_all(f"  A: {good['state']}, through {climbed}; {summary['unstable_users']} users changed variant within a stage")
    tell_all(
        f"  B: {bad['state']} at {bad['percent_reached']:g} %; {bad['users_exposed']} users met it;"
        f" from its first bad answer to the last worker at 0 %: {zero}"
    )
    told = (
        "no message about it"
        if bad["seconds_to_message"] is None
        else f"the message {bad['seconds_to_message']:.1f} s after that was decided"
    )
    tell_all(f"  Slack (a stand-in on this machine) had {told}")
    tell_all("  the story went as told" if summary["ok"] else "  THE STORY DID NOT GO AS TOLD")


@contextmanager
def _server(home: Path) -> Iterator[int]:
    port = _free_port()
    with _child(home, "_server", str(port)):
        for _ in range(300):
            try:
                _get(port, "/dark-launch")
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
        else:
            raise RuntimeError("the demo's server did not answer within 30 s; its messages are above")
        yield port


def _get(port: int, path: str) -> Any:
    """One question to the shop, on a connection of its own, so that whichever worker is free answers it."""
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with ask.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.load(answer)


@contextmanager
def _page(home: Path) -> Iterator[None]:
    port = _free_port()
    with _child(home, "_page", str(home), str(port)):
        tell_all(f"To look rather than read, while it lasts: http://127.0.0.1:{port}/\n", flush=True)
        yield


@contextmanager
def _load(port: int, home: Path, rate: float, seed: int) -> Iterator[None]:
    with _child(home, "_load", str(port), str(home / "facts.txt"), str(rate), str(seed)):
        yield


@contextmanager
def _child(home: Path, module: str, *words: str) -> Iterator[None]:
    """A process of ours that ends when its standard input does: at the end of the block, or when we die."""
    command = [sys.executable, "-m", f"progflags.cli.demo.{module}", *words]
    environment = {**os.environ, "PROGFLAGS_DEMO_DIR": str(home)}
    child = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)  # noqa: S603 - this interpreter, our own modules
    try:
        yield
    finally:
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
