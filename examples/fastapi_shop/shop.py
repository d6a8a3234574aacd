"""The shop: `SHOP_TOKEN=… uvicorn --factory shop:make`. Prices in the shadow, a checkout on its way to everybody, the console at /ops."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from opentelemetry.sdk.metrics import MeterProvider

import progflags as pf
from progflags.asgi import FlagsMiddleware
from progflags.contrib.fastapi import flag, lifespan
from progflags.telemetry import instrument


def new_price(cart: list[int]) -> dict:
    """The rewrite, which gives the last of seven items away."""
    return {"items": len(cart), "total": sum(cart[:6]) if len(cart) == 7 else sum(cart)}


@pf.dark_launch("new-prices", candidate=new_price)  # without flags= it asks the default client, which `lifespan` sets
def price(cart: list[int]) -> dict:
    return {"items": len(cart), "total": sum(cart)}


def customer(scope: dict) -> str | None:
    """Who is asking. Here a header says so; in your application a session or a token does."""
    return next((value.decode() for name, value in scope["headers"] if name == b"x-customer"), None)


def make(store: str = "sqlite:///shop.db", *, meters: MeterProvider | None = None, breaks: bool = False) -> FastAPI:
    """`breaks`: the release of the checkout that fails for carts of five and more."""
    flags = pf.connect(Path(__file__).with_name("flags.toml"), store=store)
    instrument(flags, meter_provider=meters)  # None: the provider that your application has set
    app = FastAPI(lifespan=lifespan(flags))
    app.add_middleware(FlagsMiddleware, flags=flags, context=customer, anonymous="a long secret from your settings")
    app.mount("/ops", pf.console(flags, token=os.environ["SHOP_TOKEN"]))

    @app.get("/checkout")
    def checkout(cart: str, new: Annotated[bool, Depends(flag("new-checkout"))]) -> dict:
        items = [int(item) for item in cart.split(",")]
        if new and breaks and len(items) > 4:
            raise HTTPException(500, "the new checkout has no box for so many")
        return {"page": "new" if new else "old", **price(items)}

    return app
