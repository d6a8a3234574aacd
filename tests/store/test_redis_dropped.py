"""A Redis that was restarted has dropped every connection: all threads that meet theirs at once go on with new ones."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from progflags.store import open_store
from support.own import OwnRedis

TOGETHER = 8


def test_threads_that_meet_dropped_connections_together_all_get_their_answer(tmp_path):
    server = OwnRedis(tmp_path / "redis")
    server.start()
    store = open_store(server.address)
    together = threading.Barrier(TOGETHER)

    def met(_):
        together.wait(60)
        store.board.publish("topic", threading.current_thread().name, 1, b"x" * 20_000)
        return store.revision()

    try:
        with ThreadPoolExecutor(TOGETHER) as pool:
            for _ in range(5):
                assert list(pool.map(met, range(TOGETHER))) == [0] * TOGETHER
                server.stop()
                server.start()
    finally:
        store.close()
        server.stop()
