"""A shop whose orders are on the move, and the customers who place them and look at them."""

from __future__ import annotations

import random
import time
from collections import deque

from stores import Documents, Table

import progflags as pf
from progflags.darklaunch import Migration, Unrepaired

FLAG = "orders-store"


class Shop:
    def __init__(self, flags: pf.Flags) -> None:
        self.flags = flags
        self.chance = random.Random(5)
        self.table, self.documents = Table(), Documents()
        self.orders: list[dict] = []
        self.behind: deque[Unrepaired] = deque()
        self.repaired = self.wrong = 0
        self.moved = self.deploy()

    def deploy(self) -> Migration:
        """The whole wiring. A process that starts anew begins a new comparison."""
        self.moved = Migration(
            FLAG,
            read=(self.table.read, self.documents.read),
            write=(self.table.write, self.documents.write),
            repair=self.behind.append,  # a queue of yours: in a real shop it outlives the process
            rules=[
                pf.ignore("$.changed"),  # each store says when it wrote
                pf.tolerance("$.total", abs=0.001),  # cents there, a float here
                pf.unordered("$.tags"),
            ],
            flags=self.flags,
        )
        return self.moved

    def order(self) -> None:
        number = len(self.orders) + 1
        tags = self.chance.sample(["gift", "express", "abroad", "first"], k=2)
        discount = self.chance.choice([0, 0, 0, 500])
        order = {"id": number, "customer": f"customer-{number % 997}", "cents": 1000 + 7 * number, "discount": discount, "tags": tags}
        self.orders.append(order)
        self.moved.write(order["customer"], order)

    def look(self) -> None:
        """A customer looks at an order; what they are shown is held against what was ordered."""
        order = self.chance.choice(self.orders)
        stage = self.moved.stage(order["customer"])
        answer, began = None, time.perf_counter()
        try:
            answer = self.moved.read(order["customer"], order["id"])
        finally:
            # In a web application FlagsMiddleware counts whole requests; a single function of it is told by hand. Stages other
            # than the rollout's two are no arms, and are not compared.
            if stage in ("shadow", "live"):
                seconds = time.perf_counter() - began
                self.flags.metrics.record(FLAG, arm=stage, seconds=seconds, error=answer is None, unit=order["customer"])
        self.wrong += abs(answer["total"] - (order["cents"] - order["discount"]) / 100) > 0.001

    def traffic(self, looks: int) -> None:
        """So many looks, and a new order for every tenth."""
        for number in range(looks):
            self.look()
            if number % 10 == 0:
                self.order()

    def copy_old_orders(self, last: int, *, forgets_discounts: bool) -> None:
        """The program that copies what was there before both stores were written."""
        for order in self.orders[:last]:
            self.documents.write(order, forgets_discounts=forgets_discounts)

    def repair(self) -> None:
        while self.behind:
            missed = self.behind.popleft()
            {"old": self.table, "new": self.documents}[missed.behind].write(*missed.args)
            self.repaired += 1
