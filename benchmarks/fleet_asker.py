"""One of those that ask a server in the simulation, and what it does by itself: see `fleet_model`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from progflags._connect import _background, _ears, _glance, _reach
from progflags.rollout.run import _lookers, _processes, _sweep, _windows
from progflags.store.host import _store as _host

if TYPE_CHECKING:
    from benchmarks.fleet_model import World

START = ("revision", "revision", "read", "now", "revision", "read", "publish")  # tests/scenarios holds it to what a client really asks
TIMEOUT = 2.0  # seconds that a statement may take, as the stores' own default
ENOUGH = 4  # of the processes of a host whose windows are events: there is always one to send up when it is time
FRAME = 100  # bytes of a statement and its answer beside what they carry


class Asker:
    """One connection, and the `members` processes that go by it, the first of which is number `first`."""

    def __init__(self, world: World, first: int, members: int) -> None:
        self._world, self._events = world, world.events
        self._first, self._members = first, members
        self._until = 0.0  # what it knows will do
        self._revision, self._reading = 1, False
        self._document = (1, 0.0)  # the rollout's revision as met last, and when
        self._failures, self._supplied = 0, False
        self._sent, self._carrying = 0.0, False
        self._heir = False  # whether it has just taken over
        self.open = False
        self.away = False  # since the server was, and not answered again yet

    # -- what goes on by itself -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        fleet, chance = self._world.fleet, self._world.chance
        if fleet.starts_within:
            self._events.at(chance.uniform(0, fleet.starts_within), self._start)
        else:
            self.open, self._supplied = True, True
            self._world.connections += 1
            self._until = chance.uniform(0, self._interval())
            self._events.at(self._until, self._look)
        for _ in range(self._members):
            self._events.at(chance.uniform(0, _processes._EVERY) + fleet.starts_within, self._sign)

    def _interval(self) -> float:
        return _ears._SAFETY if self._world.fleet.hints else _ears._DEAF

    def _known(self) -> float:
        """Seconds that what was seen will do."""
        return self._interval() * self._world.chance.uniform(1, 1 + _glance._JITTER)

    def _start(self, at: int = -1) -> None:
        """What a process that starts asks, one after another; where there is no connection for it, it tries again, ever less often."""
        if at < 0:
            self._ask("open", self._start, 0)
        elif at < len(START):
            self._ask(START[at], self._start, at + 1)
        else:
            if not self._world.chance.randrange(_sweep._ONE_IN):
                self._ask("collect", bool, rows=self._world.fleet.processes)
            self._supply()
            self._saw(self._world.revision)
            self._events.at(self._until, self._look)

    def _supply(self) -> None:
        if not self._supplied:
            self._supplied = True
            self._world.seen.supplied.append(self._events.now)

    def _look(self) -> None:
        """The background's look: asks where what is known is too old."""
        if self._events.now < self._until:
            self._events.at(self._until + self._world.chance.uniform(0, _background._STORE_POLL), self._look)
            return
        self._ask("revision", self._looked, True)

    def _looked(self, again: bool) -> None:
        self._saw(self._world.revision)
        if again:
            self._look()

    def _saw(self, revision: int) -> None:
        self._failures = 0
        if self.away:
            self.away = False
            self._world.seen.back.append(self._events.now)
        self._until = self._events.now + self._known()
        if revision != self._revision and not self._reading:
            self._reading = True
            self._ask("read", self._has_read)

    def _has_read(self) -> None:
        world, now = self._world, self._events.now
        self._reading, before, self._revision = False, self._revision, world.revision
        self._until = now + self._known()
        if world.document[0] != self._document[0]:
            self._document = world.document[0], now
        change = world.fleet.costs["change"]["client"]
        for revision in [one for one in world.seen.served if before < one <= self._revision]:
            self._serve(revision, change / 2)
            for _ in range(self._members - 1):
                self._events.after(world.chance.uniform(0, _host._LOOK), self._serve, revision, change)

    def _serve(self, revision: int, seconds: float) -> None:
        world = self._world
        world.seen.served[revision].append(world.work(seconds) + world.chance.uniform(0, world.fleet.polled))

    def heard(self) -> None:
        """A hint: the next look is now."""
        if self.open:
            self._until = 0.0
            self._events.at(self._world.work(self._world.fleet.costs["change"]["client"] / 2), self._hinted)

    def _hinted(self) -> None:
        if self._revision != self._world.revision and not self._reading:
            self._ask("revision", self._looked, False)

    def _sign(self) -> None:
        self._events.at(self._world.after_tick(self._events.now + _processes._EVERY), self._sign)
        if self.open:
            self._ask("publish", self._put_up)

    def _put_up(self) -> None:
        """The answer brings the revision along, to a process that asks for itself."""
        if not self._world.fleet.per_host:
            self._saw(self._world.revision)

    # -- a rollout ------------------------------------------------------------------------------------------------------

    def count(self) -> None:
        """Put windows up from now on."""
        for member in range(min(self._members, ENOUGH) if self._world.fleet.per_host else self._members):
            self._events.after(self._world.after_tick(0.0), self._window, member)

    def _window(self, member: int) -> None:
        world = self._world
        if not world.counting:
            return
        self._events.at(world.after_tick(self._events.now + world.fleet.batch / _windows._PER_BATCH), self._window, member)
        if not world.fleet.per_host:
            self._put_window(self._events.now, self._first + member)
        elif not self._carrying:
            self._carrying = True  # sent up with the others', twice for each of its own
            pace = world.fleet.batch / _windows._PER_BATCH / 2
            due = max(self._events.now, self._sent + pace)
            self._events.at(due + world.chance.uniform(0, _background._TEND), self._carry)

    def _carry(self) -> None:
        self._carrying, self._sent = False, self._events.now
        self._put_window(self._events.now, self._first, self._first + self._members)

    def _put_window(self, at: float, first: int, end: int | None = None) -> None:
        if self.open:
            self._ask("publish", self._window_up, at, first, first + 1 if end is None else end, window=True)

    def _window_up(self, at: float, first: int, end: int) -> None:
        self._world.counted[first:end] = at
        self._put_up()

    def look_at_rollout(self) -> None:
        """Put up, collect, judge, commit: one after another."""
        if self._world.looker is self:
            self._ask("publish", self._collect, window=True)

    def _collect(self) -> None:
        counted = self._world.counted.copy()
        counted[self._first] = self._events.now
        self._ask("collect", self._judge, counted, rows=len(self._world.askers))

    def _judge(self, counted: Any) -> None:
        world, costs = self._world, self._world.fleet.costs
        seconds = costs["look"]["client"] + costs["row"]["client"] * len(world.askers)
        if self._heir and world.chance.random() >= world.fleet.looked / world.fleet.processes:
            seconds += costs["first look"]["client"]
        self._heir = False
        self._events.at(world.work(seconds), self._ask, "commit", self._decided, counted)

    def _decided(self, counted: Any) -> None:
        world, now = self._world, self._events.now
        if not world.counting or world.looker is not self:
            return  # another was first
        world.seen.decided.append(now)
        world.seen.lags.append(np.concatenate([now - counted, now - (counted + world.judged) / 2, now - world.judged]))
        world.judged = counted
        revision = world.moved(quiet=True)
        world.document = revision, now
        if world.fleet.per_host:
            self._ask("read", bool)  # into the folder
        self._events.at(world.after_tick(now + world.fleet.batch), self.look_at_rollout)
        self._document, self._until = (revision, now), 0.0

    def wait_for_looker(self, *, less: int = 0) -> None:
        """Each of these processes, `less` of which have died, takes over once the document has stood still for so long."""
        for _ in range(self._members - less):
            self._wait_for_looker()

    def _wait_for_looker(self) -> None:
        world, batch = self._world, self._world.fleet.batch
        met, since = self._document
        due = world.after_tick(max(self._events.now, since + batch))
        self._events.at(world.after_tick(due + batch * world.chance.uniform(*_lookers._GONE)), self._take_over, met)

    def _take_over(self, met: int) -> None:
        if self._world.looker is None and met != self._document[0]:
            self._wait_for_looker()
        elif self._world.looker is None:
            self._ask("read", self._ask, "read", self._still, met)

    def _still(self, met: int) -> None:
        """Looked once more before a look."""
        if self._world.looker is None and met == self._world.document[0]:
            self._ask("commit", self._claimed)
        elif self._world.looker is None:
            self._document = self._world.document[0], self._events.now
            self._wait_for_looker()

    def _claimed(self) -> None:
        """Said so before the look."""
        world = self._world
        if world.looker is not None:
            return  # another was first
        world.looker, self._heir = self, True
        self._document = world.document = world.moved(), self._events.now
        self.look_at_rollout()

    # -- a question -----------------------------------------------------------------------------------------------------

    def _ask(self, kind: str, then: Any, *arguments: Any, rows: int = 0, window: bool = False) -> None:
        """Then comes `then`, once it is answered; where it is not, the asker knocks until it is."""
        world, now = self._world, self._events.now
        opens = not self.open
        refused = now < world.stopped or (opens and world.connections >= world.fleet.limit)
        if refused or world.server.wait > TIMEOUT:
            world.seen.failed += 1
            self._events.after(0.0 if refused else TIMEOUT, self._missed, kind, then, arguments)
            return
        if opens:
            self.open = True
            world.connections += 1
        kinds = ("open", kind) if opens and kind != "open" else (kind,)
        cost = sum(world.fleet.costs[one]["server"] for one in kinds) + rows * world.fleet.costs["row"]["server"]
        self._note(kind, rows, window=window)
        self._events.at(world.taken(cost), then, *arguments)

    def _missed(self, kind: str, then: Any, arguments: tuple[Any, ...]) -> None:
        self._failures += 1
        self._reading = False
        longest, shortest = _reach._LONGEST, _reach._SHORTEST
        wait = min(longest, shortest * 2.0 ** min(self._failures, 10)) * self._world.chance.uniform(0.5, 1.0)
        if (
            kind in ("open", "revision") or not self._supplied
        ):  # who looks, or starts, goes on with that; what else was to be said is said the next time
            self._events.after(wait, self._ask, kind, then, *arguments)
        elif kind == "commit" or then == self._collect:
            self._events.after(wait, self.look_at_rollout)

    def _note(self, kind: str, rows: int, *, window: bool) -> None:
        world, seen = self._world, self._world.seen
        if kind != "open":  # no question of its own
            seen.asked[kind] += 1
            seen.by_second[int(self._events.now)] += 1
        put_up = world.fleet.window if window else 0
        read = rows * world.fleet.window
        seen.put_up += put_up
        seen.read += read
        seen.bytes += FRAME + put_up + read + (world.fleet.documents if kind in ("read", "commit") else 0)
