"""The tasks: an invoice for every order, in a worker of its own. `celery -A invoices worker`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from celery import Celery

import progflags as pf
from progflags.contrib import celery as flags_in_tasks

FOLDER = Path(os.environ["SHOP_FOLDER"])
FLAG = "new-invoice"

# Web processes and workers share the file and the store. One client a process; its background threads begin after a fork as well.
flags = pf.connect(Path(__file__).with_name("flags.toml"), store=f"sqlite:///{FOLDER / 'state.db'}")
pf.set_default(flags)
flags_in_tasks.install(flags)  # the customer and the variants their page met travel in the task's headers

celery = Celery("shop", broker="filesystem://")  # folders instead of a broker, so that the example needs no server
celery.conf.broker_transport_options = {name: str(FOLDER / "queue") for name in ("data_folder_in", "data_folder_out")} | {
    "control_folder": str(FOLDER / "control")
}


@celery.task(ignore_result=True)
def send_invoice(order: int, customer: str, country: str) -> None:
    """What the customer's page said, unless the new renderer was taken back meanwhile."""
    new = flags.is_enabled(FLAG)
    error = None
    try:
        text = render_new(order, country) if new else f"invoice {order}"
    except LookupError as failure:
        error, text = failure, f"invoice {order}"  # nobody goes without an invoice
    # The request has been counted when it ended; how the task went is told by hand, for the same customer.
    flags.metrics.record(FLAG, arm="candidate" if new else "control", error=error is not None, unit=customer)
    with (FOLDER / "sent.jsonl").open("a") as sent:
        sent.write(json.dumps({"order": order, "customer": customer, "new": new, "failed": error is not None, "text": text}) + "\n")


def render_new(order: int, country: str) -> str:
    if country == "ch":
        raise LookupError("no currency for ch")  # the bug: all tests were in euros
    return f"Invoice № {order}"
