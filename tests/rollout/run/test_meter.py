"""What traffic a rollout will have, counted before it starts; by one thread, while others look at the store."""

import threading

from progflags.canary import Recorder
from progflags.events import Bus
from progflags.rollout.run._meter import Meter
from progflags.store import MemoryStore
from progflags.testing import ManualClock


class Slow(Recorder):
    """Waits in the middle of its first reading until it is told to go on."""

    waits = False

    def totals(self, flag):
        if self.waits:
            self.waits = False
            self.reached.set()
            assert self.go.wait(30)
        return super().totals(flag)


def test_flags_may_come_and_go_while_the_traffic_is_published():
    clock = ManualClock()
    recorder = Slow(Bus(), clock)
    recorder.reached, recorder.go = threading.Event(), threading.Event()
    meter = Meter(recorder, MemoryStore(clock=clock).board, clock)
    meter.heed({"checkout": 1, "search": 1})
    clock.advance(10)
    failed = []

    def publish():
        try:
            meter.publish("here", at_once=True)
        except RuntimeError as error:
            failed.append(error)

    recorder.waits = True
    other = threading.Thread(target=publish)
    other.start()
    assert recorder.reached.wait(30)
    meter.heed({"search": 1, "feed": 1, "prices": 1})
    recorder.go.set()
    other.join(30)

    assert failed == []
