"""What type checkers see of the front door. Checked by mypy and pyright in `make lint`; never run."""

from __future__ import annotations

from typing import assert_type

from pydantic import BaseModel

import progflags as pf


class Limits(BaseModel):
    k: int
    timeout: float


flags = pf.connect({"flags": {}}, store="sqlite:///progflags.db")
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
assert_type(flags.rollouts.tick(), tuple[pf.Transition, ...])
flags.metrics.record("new-checkout", arm="candidate", seconds=0.12, error=False)
flags.metrics.source("tickets", lambda: 3.0, kind="gauge")
pf.set_default(flags)
assert_type(pf.default(), pf.Flags)
