"""The web application: a page that takes an order and queues its invoice. `flask --app shop run`."""

from __future__ import annotations

import flask
from invoices import FLAG, flags, send_invoice

import progflags as pf
from progflags.contrib.flask import Progflags

app = flask.Flask(__name__)
Progflags(app, flags=flags, context=lambda: pf.Context(flask.request.headers.get("x-customer")))


@app.post("/orders/<int:order>")
def place(order: int) -> dict:
    promised = "new" if flags.is_enabled(FLAG) else "old"
    send_invoice.delay(order, flask.request.headers["x-customer"], flask.request.args["country"])
    return {"order": order, "promised": promised}
