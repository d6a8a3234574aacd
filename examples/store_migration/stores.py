"""The two stores, each a real SQLite database: a table with columns and cents, and documents with floats."""

from __future__ import annotations

import json
import sqlite3
import threading
import time


class Store:
    """One connection for all threads, which is used by one of them at a time; comparisons read from a thread of their own."""

    def __init__(self, schema: str) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.execute(schema)

    def _ask(self, statement: str, values: tuple) -> tuple:
        with self._lock:
            return self._db.execute(statement, values).fetchone()


class Table(Store):
    """The old one."""

    def __init__(self) -> None:
        super().__init__(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, cents INTEGER, discount INTEGER, tags TEXT, changed REAL)"
        )

    def write(self, order: dict) -> None:
        row = (order["id"], order["customer"], order["cents"], order["discount"], ",".join(order["tags"]), time.time())
        self._ask("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?)", row)

    def read(self, number: int) -> dict:
        _, customer, cents, discount, tags, changed = self._ask("SELECT * FROM orders WHERE id = ?", (number,))
        return {"id": number, "customer": customer, "total": (cents - discount) / 100, "tags": tags.split(","), "changed": changed}


class Documents(Store):
    """The new one; busy for some orders now and then."""

    def __init__(self) -> None:
        super().__init__("CREATE TABLE documents (id INTEGER PRIMARY KEY, body TEXT)")
        self.busy: set[int] = set()

    def write(self, order: dict, *, forgets_discounts: bool = False) -> None:
        if order["id"] in self.busy:
            raise TimeoutError("the document store is busy")
        total = order["cents"] * 0.01 - (0 if forgets_discounts else order["discount"] * 0.01)
        body = {"customer": order["customer"], "total": total, "tags": sorted(order["tags"]), "changed": time.time()}
        self._ask("INSERT OR REPLACE INTO documents VALUES (?, ?)", (order["id"], json.dumps(body)))

    def read(self, number: int) -> dict:
        (body,) = self._ask("SELECT body FROM documents WHERE id = ?", (number,))
        return {"id": number, **json.loads(body)}
