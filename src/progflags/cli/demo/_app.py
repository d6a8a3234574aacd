"""The application of the demo: an ordinary FastAPI shop with three risky changes behind flags."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response

import progflags as pf
from progflags.asgi import FlagsMiddleware

_HERE = Path(os.environ["PROGFLAGS_DEMO_DIR"])

flags = pf.connect(_HERE / "demo.flags.toml", store=f"sqlite:///{_HERE / 'state.db'}")
shop = FastAPI()


def new_price(cart: list[int]) -> dict[str, int]:
    """The rewrite. It is right, but for carts of seven, whose last item it gives away: the kind of bug that review misses."""
    return {"items": len(cart), "total": sum(cart[:6]) if len(cart) == 7 else sum(cart)}


@pf.dark_launch("new-prices", candidate=new_price, flags=flags)
def price(cart: list[int]) -> dict[str, int]:
    return {"items": len(cart), "total": sum(cart)}


@shop.get("/dark-launch")
async def dark_launch() -> dict[str, Any]:
    """What this worker has seen of the new prices."""
    experiment = price.dark_launch
    stats, verdict = experiment.stats(), experiment.verdict(max_mismatch=0.001)
    compared = stats.outcomes["match"] + stats.outcomes["mismatch"]
    return {"worker": os.getpid(), "compared": compared, "mismatches": stats.mismatches, "verdict": str(verdict.state)}


@shop.get("/buy")
async def buy(cart: str, response: Response) -> dict[str, str]:
    """One page: the prices (in the shadow), the checkout (release A, good) and the search box (release B, bad)."""
    response.headers["x-total"] = str(price([int(item) for item in cart.split(",")])["total"])
    checkout = flags.is_enabled("new-checkout")
    search = flags.is_enabled("new-search")
    response.headers["x-new-checkout"] = "on" if checkout else "off"
    response.headers["x-new-search"] = "on" if search else "off"
    await asyncio.sleep(random.lognormvariate(-4.6, 0.35))  # about 10 ms, p99 about 23 ms
    if search:
        await _new_search(response)
    return {"checkout": "new" if checkout else "old", "search": "new" if search else "old"}


async def _new_search(response: Response) -> None:
    """What nobody noticed in review: a retry that stalls, and an index that is missing for two queries in five."""
    if random.random() < 0.5:
        await asyncio.sleep(0.12)
    if random.random() < 0.4:
        response.status_code = 500


def _user(scope: dict[str, Any]) -> str:
    return next((value.decode() for name, value in scope["headers"] if name == b"x-user"), "")


def _leave_with(parent: int) -> None:
    """End with uvicorn's supervisor, also when that is killed and can't say goodbye: the demo leaves no process behind."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
app = FlagsMiddleware(shop, flags=flags, context=_user)
