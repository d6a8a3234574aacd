"""What type checkers see of the front door. Checked by mypy and pyright in `make lint`; never run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_type

from pydantic import BaseModel

import progflags as pf
from progflags.darklaunch import Experiment


class Limits(BaseModel):
    k: int
    timeout: float


flags = pf.connect({"flags": {}}, store="sqlite:///progflags.db", environment="staging")
ctx = pf.Context("user-42", {"plan": "pro"})

assert_type(flags, pf.Flags)
assert_type(flags.is_enabled("new-search", "user-42"), bool)
assert_type(flags.is_enabled("new-search", ctx, default=True), bool)
assert_type(flags.get("checkout-flow", "classic", ctx), str)
assert_type(flags.get("retries", 3), int)
assert_type(flags.get("limits", {"k": 10}, ctx), dict[str, int])
assert_type(flags.evaluate("checkout-flow", "classic", ctx), pf.Evaluation)
assert_type(flags.evaluate_all(ctx), dict[str, pf.Evaluation])

CHECKOUT = pf.Flag("checkout-flow", default="classic")
NEW = pf.Flag("new-search", default=False)
LIMITS = pf.Flag("search-limits", default=Limits(k=10, timeout=0.2))
assert_type(flags.get(CHECKOUT, context=ctx), str)
assert_type(flags.get(LIMITS, context=ctx), Limits)
assert_type(flags.is_enabled(NEW, ctx), bool)

with pf.bind(ctx), flags.override({"new-search": True}), flags.snapshot() as view:
    assert_type(view.is_enabled("new-search"), bool)


@pf.progressive("new-checkout", candidate=lambda cart: 2, flags=flags)
def checkout(cart: list[int]) -> int:
    return sum(cart)


async def pay_v2(cart: list[int]) -> int:
    return 0


@pf.progressive("new-checkout", candidate=pay_v2, flags=flags)
async def pay(cart: list[int]) -> int:
    return checkout(cart)


async def use() -> None:
    assert_type(checkout([1]), int)
    assert_type(await pay([1]), int)


assert_type(flags.rollouts.start("new-checkout"), pf.RolloutStatus)
assert_type(flags.rollouts.change("new-checkout", {"percent": 20}, by="ann"), pf.RolloutStatus)
assert_type(flags.rollouts.change("new-checkout", Path("new.toml")), pf.RolloutStatus)
assert_type(flags.rollouts.tick(), tuple[pf.Transition, ...])
flags.metrics.record("new-checkout", arm="candidate", seconds=0.12, error=False)
flags.metrics.source("tickets", lambda: 3.0, kind="gauge")
pf.set_default(flags)
assert_type(pf.default(), pf.Flags)


class Cart:
    @pf.dark_launch("pricing-v2", candidate="total_v2", flags=flags)
    def total(self, vat: float) -> float:
        return vat

    def total_v2(self, vat: float) -> float:
        return vat

    @pf.dark_launch("pricing-v2", candidate=pf.force("rounding", "on"), flags=flags)
    async def pay(self, vat: float) -> str:
        return str(vat)

    @staticmethod
    @pf.dark_launch("pricing-v2", candidate=round, flags=flags)
    def rounded(total: float) -> int:
        return int(total)

    @classmethod
    @pf.dark_launch("pricing-v2", candidate="empty", flags=flags)
    def empty(cls, size: int) -> list[int]:
        return [size]


@pf.dark_launch("pricing-v2", candidate=lambda cart, *, vat=0.0: vat, flags=flags, rules=[pf.tolerance("$", abs=0.01)])
def price(cart: list[int], *, vat: float = 0.0) -> float:
    return sum(cart) + vat


def all_day(price_of: Callable[[list[int]], float]) -> float:
    return price_of([1])


async def shadowed() -> None:
    assert_type(price([1], vat=0.2), float)
    assert_type(price.dark_launch, Experiment)
    assert_type(price.dark_launch.stats().calls, int)
    all_day(price)
    assert_type(Cart().total(0.2), float)
    assert_type(Cart.total(Cart(), 0.2), float)
    assert_type(Cart.total.dark_launch, Experiment)
    assert_type(Cart().total.dark_launch, Experiment)
    assert_type(await Cart().pay(0.2), str)
    assert_type(Cart.rounded(1.5), int)
    assert_type(Cart.empty(3), list[int])
    assert_type(Cart().empty(3), list[int])
