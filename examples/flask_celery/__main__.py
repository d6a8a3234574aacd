"""
A Flask shop whose invoices are sent by Celery: what a page promised, the task keeps; what fails in the tasks, the rollout takes back.

Twenty in a hundred customers are promised the new invoice. Their tasks wait in the queue while the share moves to fifty, and each still
gets what their page said. Then orders from abroad come in: every page is fine, but the new renderer fails in the worker. The worker tells
how its tasks went, the rollout is rolled back, and tasks that still wait are sent the old way, whatever their page promised.

Run it: `python examples/flask_celery`. It starts a web server and a worker, takes about fifteen seconds, and ends with 0 when the story
went as told.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from werkzeug.serving import make_server

HERE = Path(__file__).parent


def until(true: Callable[[], object], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(true())


@contextmanager
def worker(folder: Path):
    """`celery worker`, as a process of its own."""
    quiet = ["--pool", "solo", "--loglevel", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-m", "celery", "-A", "invoices", "--quiet", "worker", *quiet], cwd=HERE)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


class Customers:
    """They order over HTTP; remembers what their page promised."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/orders"
        self.promised: dict[int, str] = {}

    def order(self, country: str) -> None:
        number = len(self.promised)
        asked = urllib.request.Request(
            f"{self.url}/{number}?country={country}", method="POST", headers={"x-customer": f"customer-{number}"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=30) as answer:
            self.promised[number] = json.load(answer)["promised"]


def story(folder: Path) -> dict:
    from invoices import FLAG, flags
    from shop import app

    sent = folder / "sent.jsonl"

    def invoices() -> list[dict]:
        return [json.loads(line) for line in sent.read_text().splitlines()] if sent.exists() else []

    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    customers = Customers(server.port)

    flags.rollouts.start(FLAG, by="ann", reason="release 7")
    for _ in range(100):
        customers.order("de")
    promised = sum(said == "new" for said in customers.promised.values())
    print(f"100 orders at 20 %: {promised} pages promised the new invoice; the queue waits for a worker")
    flags.rollouts.promote(FLAG, by="ann", reason="looks good")
    print(f"meanwhile the share moves to {flags.rollouts.status(FLAG).percent:g} %; the worker starts")

    with worker(folder):
        until(lambda: len(invoices()) >= 100)
        kept = sum(customers.promised[invoice["order"]] == ("new" if invoice["new"] else "old") for invoice in invoices())
        print(f"  {kept} of {len(invoices())} invoices are what the page had promised\n\norders from abroad come in:")

        def more_orders() -> bool:
            customers.order("ch" if len(customers.promised) % 3 == 0 else "de")
            return flags.rollouts.status(FLAG).state not in ("ramping", "baking")

        until(more_orders)
        status = flags.rollouts.status(FLAG)
        print(f"  {status.state}: {status.reason}")
        time.sleep(1)  # by then the worker knows, too
        last = len(customers.promised)
        for _ in range(20):
            customers.order("ch")
        until(lambda: len(invoices()) >= len(customers.promised))
    after = [invoice for invoice in invoices() if invoice["order"] >= last]
    overruled = sum(customers.promised[invoice["order"]] == "new" and not invoice["new"] for invoice in invoices())
    print(f"  {len(customers.promised)} orders, {len(invoices())} invoices; {overruled} that still waited were sent the old way after all")
    server.shutdown()
    flags.close()
    return {
        "promised_new": promised,
        "kept": kept,
        "state": str(status.state),
        "percent_reached": status.reach,
        "orders": len(customers.promised),
        "invoices": len(invoices()),
        "failed": sum(invoice["failed"] for invoice in invoices()),
        "new_after_rollback": sum(invoice["new"] for invoice in after),
    }


def main() -> int:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="progflags-example-") as temporary:
        folder = Path(temporary)
        os.environ["SHOP_FOLDER"] = temporary
        (folder / "queue").mkdir()
        outcome = story(folder)
    ok = (
        outcome["kept"] == 100
        and 0 < outcome["promised_new"] < 50
        and outcome["state"] in ("rolled_back", "cooling_down")
        and outcome["invoices"] == outcome["orders"]
        and outcome["new_after_rollback"] == 0
        and outcome["failed"] > 0
    )
    print(json.dumps({"ok": ok, **outcome}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
