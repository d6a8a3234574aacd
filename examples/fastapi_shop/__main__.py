"""
A FastAPI shop under traffic: prices compared in the shadow, a bad checkout taken back, a good one on its way to everybody.

The new prices are run beside the old ones and thrown away: the comparison finds their bug before anybody pays it. The first release of
the new checkout fails for some carts and is rolled back at ten percent of the customers; the second climbs to all of them. What
OpenTelemetry would export is printed, and the console at /ops, which wants its token, shows what happened.

Run it: `python examples/fastapi_shop`. It serves on a port of this machine, takes about fifteen seconds, and ends with 0 when the story
went as told.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from fastapi import FastAPI
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from shop import make, price

import progflags as pf

ENDED = ("rolled_back", "cooling_down", "completed", "held")


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application under uvicorn, in a thread; in production it is a process of its own."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


class Customers:
    """Two hundred of them, with carts of one to seven items; they note every answer."""

    def __init__(self, url: str) -> None:
        self.browser = httpx.Client(base_url=url, trust_env=False, timeout=30)
        self.chance = random.Random(3)
        self.seen: Counter[str] = Counter()
        self.met: set[int] = set()

    def shop(self, until: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            who = self.chance.randrange(200)
            cart = [self.chance.randint(1, 90) for _ in range(self.chance.randint(1, 7))]
            answer = self.browser.get("/checkout", params={"cart": ",".join(map(str, cart))}, headers={"x-customer": f"customer-{who}"})
            self.seen["requests"] += 1
            if answer.is_error:
                self.seen["failed"] += 1
                self.met.add(who)
                continue
            said = answer.json()
            self.seen["wrong_bills"] += said["total"] != sum(cart)
            if said["page"] == "new":
                self.met.add(who)
            time.sleep(0.002)


def release(store: str, meters: MeterProvider, *, breaks: bool) -> tuple[Customers, pf.RolloutStatus, int]:
    """One release of the shop: started, its rollout followed until it ends, looked at in the console, stopped."""
    app = make(store, meters=meters, breaks=breaks)
    with served(app) as url:
        flags: pf.Flags = app.state.progflags
        customers = Customers(url)
        if breaks:
            customers.shop(lambda: price.dark_launch.verdict(max_mismatch=0.01).state != "UNDECIDED")
            flags.rollouts.start("new-checkout", by="ann", reason="release 7")
        else:
            flags.rollouts.retry("new-checkout", by="ann", reason="release 8: a larger box", force=True)
        share = -1.0

        def ended() -> bool:
            nonlocal share
            status = flags.rollouts.status("new-checkout")
            if status.percent != share:
                share = status.percent
                print(f"  {share:5g} %  {status.state}", flush=True)
            return status.state in ENDED

        customers.shop(ended)
        status = flags.rollouts.status("new-checkout")
        token = {"Authorization": f"Bearer {os.environ['SHOP_TOKEN']}"}
        without = customers.browser.get("/ops/api/rollout", params={"flag": "new-checkout"}).status_code
        shown = customers.browser.get("/ops/api/rollout", params={"flag": "new-checkout"}, headers=token)
        print(f"  → {status.reason}\n  the console: {without} without its token, {shown.status_code} with it\n")
    return customers, status, without


def main() -> int:
    os.environ.setdefault("SHOP_TOKEN", secrets.token_urlsafe())
    reader = InMemoryMetricReader()  # in production: a PeriodicExportingMetricReader with the OTLP exporter
    meters = MeterProvider(metric_readers=[reader])
    with tempfile.TemporaryDirectory(prefix="progflags-example-") as folder:
        store = f"sqlite:///{folder}/shop.db"
        print("release 7, with new prices in the shadow and a checkout that fails for carts of five and more:")
        bad, fallen, without = release(store, meters, breaks=True)
        verdict, paths = price.dark_launch.verdict(max_mismatch=0.01), price.dark_launch.stats().mismatches
        print(f"the shadow is {verdict}\nit differs at {', '.join(paths)}; {bad.seen['wrong_bills']} customers got a wrong bill\n")
        print("release 8:")
        good, risen, _ = release(store, meters, breaks=False)
        found = [metric for part in reader.get_metrics_data().resource_metrics for scope in part.scope_metrics for metric in scope.metrics]
        steps = next(metric for metric in found if metric.name == "progflags.rollout.transitions")
        exported = {point.attributes["progflags.transition.to"] for point in steps.data.data_points}
        print(f"OpenTelemetry got {len(found)} metrics; of the rollout's steps: {', '.join(sorted(exported))}")
    outcome = {
        "shadow": {"state": str(verdict.state), "paths": sorted(paths), "wrong_bills": bad.seen["wrong_bills"] + good.seen["wrong_bills"]},
        "bad": {"state": str(fallen.state), "percent_reached": fallen.reach, "failed": bad.seen["failed"], "customers": len(bad.met)},
        "good": {"state": str(risen.state), "failed": good.seen["failed"], "customers": len(good.met)},
        "console_without_token": without,
        "exported": sorted(exported),
    }
    ok = (
        (outcome["shadow"]["state"], outcome["shadow"]["wrong_bills"]) == ("UNSAFE", 0)
        and fallen.state in ("rolled_back", "cooling_down")
        and fallen.reach == 10
        and (risen.state, good.seen["failed"]) == ("completed", 0)
        and without == 401
        and {"rolled_back", "completed"} <= exported
    )
    print(json.dumps({"ok": ok, **outcome}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
