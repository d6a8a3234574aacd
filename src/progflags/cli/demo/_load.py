"""
The demo's load generator: real HTTP from a process of its own, which knows nothing of progflags.

Open loop: requests leave at Poisson times whether or not earlier ones have been answered, so a slow server is not
asked less. The population is skewed (Zipf), as people are. Every answer is written down as one line of facts; who was
exposed, what was lost and how fast the bad release was gone is read from these lines, not from the library.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

import h11

__all__ = ["main"]

USERS = 3000
SKEW = 0.7
_PATIENCE = 10.0  # seconds until a request counts as lost


def main(port: int, facts: Path, rate: float, seed: int) -> None:
    """Send until standard input ends; then wait for the answers still out and leave."""
    with facts.open("a", buffering=1) as out:
        asyncio.run(_send(_Pool(port), out, rate, random.Random(seed)))


async def _send(pool: _Pool, out: TextIO, rate: float, chance: random.Random) -> None:
    users = [f"user-{number}" for number in range(USERS)]
    weights = list(itertools.accumulate(1 / (rank + 1) ** SKEW for rank in range(USERS)))
    stop = asyncio.Event()
    threading.Thread(target=_until_stdin_ends, args=(stop, asyncio.get_running_loop()), daemon=True).start()
    async with asyncio.TaskGroup() as tasks:
        due = time.monotonic()
        while not stop.is_set():
            due += chance.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            cart = [chance.randrange(100, 10_000) for _ in range(1 + min(9, int(chance.expovariate(0.5))))]
            tasks.create_task(_one(pool, chance.choices(users, cum_weights=weights)[0], cart, out))


async def _one(pool: _Pool, user: str, cart: list[int], out: TextIO) -> None:
    began = time.time()
    try:
        status, seen = await asyncio.wait_for(pool.get(f"/buy?cart={','.join(map(str, cart))}", user), _PATIENCE)
    except (OSError, TimeoutError, h11.ProtocolError):
        status, seen = 0, {}
    checkout, search = (seen.get(name, b"-").decode() for name in (b"x-new-checkout", b"x-new-search"))
    bill = "right" if seen.get(b"x-total") == str(sum(cart)).encode() else "wrong"
    out.write(f"{began:.4f} {time.time():.4f} {user} {status} {checkout} {search} {bill}\n")


class _Pool:
    """Kept-alive connections, as many as there are requests out. h11 speaks the protocol; asyncio moves the bytes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[h11.Connection, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, path: str, user: str) -> tuple[int, dict[bytes, bytes]]:
        """Status and headers of the answer, once it is complete."""
        if self._idle:
            talk, reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            talk = h11.Connection(h11.CLIENT)
        done = False
        try:
            request = h11.Request(method="GET", target=path, headers=[("host", "127.0.0.1"), ("x-user", user)])
            writer.write((talk.send(request) or b"") + (talk.send(h11.EndOfMessage()) or b""))
            status, headers = 0, {}
            while not isinstance(event := talk.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    talk.receive_data(await reader.read(65_536))
                elif isinstance(event, h11.Response):
                    status, headers = event.status_code, dict(event.headers)
                elif isinstance(event, h11.ConnectionClosed):
                    raise ConnectionError("the server closed the connection before it had answered")
            done = True
            return status, headers
        finally:
            if done and talk.our_state is talk.their_state is h11.DONE:
                talk.start_next_cycle()
                self._idle.append((talk, reader, writer))
            else:
                writer.close()


def _until_stdin_ends(stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    sys.stdin.buffer.read()
    loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
