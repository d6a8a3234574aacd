"""The recorder: hears what was served, and counts it by flag, revision and arm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import nan
from typing import Any

from progflags._clock import Clock, SystemClock
from progflags._names import Refusals, named, sentence, wrong_with
from progflags._process import in_child, look
from progflags._trouble import swallow
from progflags.canary._gate import SHADOW_SCORE, Gate
from progflags.canary.counting._by_hand import ByHand, many, truth
from progflags.canary.counting._counts import Counts
from progflags.canary.counting._gauges import Gauges
from progflags.canary.counting._sketch import LARGEST
from progflags.canary.counting._told import told
from progflags.canary.counting._totals import NOTHING, Totals
from progflags.canary.counting._window import CANDIDATE, CONTROL, Window
from progflags.context import unit_bytes
from progflags.events import Bus, Called, Compared, Exposed, Served, Tracked

__all__ = ["Recorder"]


# Left whole, though long: what applications record with. Each method is a few lines over parts with files of their own.
class Recorder:
    """
    Counts what happens on each arm of each flag that is being counted.

    Hears `Served`, `Called`, `Exposed`, `Tracked` and `Compared` on the Bus; `record` takes the same by hand. Never raises into the
    request: a value that is no finite number, or a negative duration, is rejected and counted, and so is a name that no flag,
    arm or event can have. Thread-safe, with one lock per flag; after a fork the child starts from zero, because the parent
    goes on reporting what it counted.

    `arms` says on which arm each variant of a flag is counted, None of a flag that is not known: an observation by hand on any
    other arm than these, `control` and `candidate` is refused. Without it every flag is taken, with arms that were met.
    `refusals` counts what was refused.

        flags.metrics.record("new-checkout", arm="candidate", seconds=0.12, error=False)
        flags.metrics.observe("new-checkout", "basket", 49.90, arm="candidate", measured_in="EUR")
        flags.metrics.source("tickets", open_tickets)   # a function of no arguments
    """

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        *,
        arms: Callable[[str], Mapping[str, str] | None] | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._counts = Counts()
        self._refusals = refusals or Refusals()
        self._by_hand = ByHand(self._counts, arms, self._refusals)
        # Bound once, and past its method where it is the machine's: it is read for every observation.
        self._monotonic = time.monotonic if type(clock) is SystemClock else clock.monotonic
        self._alarms: tuple[Callable[[str, int], object], ...] = ()
        self._gauges = Gauges(lambda: bus.patience, self._monotonic)
        bus.listen(Called, self._on_called)
        bus.listen(Served, self._on_served)
        bus.listen(Exposed, self._on_exposed)
        bus.listen(Tracked, self._on_tracked)
        bus.listen(Compared, self._on_compared)
        in_child(self)

    # -- what happened ------------------------------------------------------------------------------------------------

    def _on_called(self, event: Called) -> None:
        exposure, seconds, failed, unit = event
        count = self._counts.by_flag.get(exposure.flag)
        if count is not None and count.revision == exposure.revision:
            count.note(exposure.arm, seconds, failed, unit, self._monotonic())
            if failed and exposure.arm == CANDIDATE:
                self._alarm(exposure.flag, exposure.revision)

    def _on_served(self, event: Served) -> None:
        exposures, seconds, failed, unit, units = event
        now, by_flag = self._monotonic(), self._counts.by_flag
        for exposure in exposures:
            flag = exposure.flag
            count = by_flag.get(flag)
            if count is not None and count.revision == exposure.revision:
                count.note(exposure.arm, seconds, failed, units.get(flag, unit) if units else unit, now)
                if failed and exposure.arm == CANDIDATE:
                    self._alarm(flag, exposure.revision)

    def _on_exposed(self, event: Exposed) -> None:
        count = self._counts.by_flag.get(event.exposure.flag)
        if count is not None and count.revision == event.exposure.revision:
            with count.lock:
                count.meet(event.exposure.arm, event.unit, event.assigned)

    def _on_tracked(self, event: Tracked) -> None:
        name = named(event.event)
        if name is None:
            self._refusals.note("track", f"an event was not counted for its name: {wrong_with(event.event)}")
        elif abs(event.value) <= LARGEST:  # which no NaN is
            for count in tuple(self._counts.by_flag.values()):
                count.track(name, event.unit, event.value)
        else:
            swallow("track", ValueError(f"{event.value!r} is no finite value"))

    def _on_compared(self, event: Compared) -> None:
        """A shadow's score is a value of the candidate's, of whatever revision is being counted."""
        count = self._counts.by_flag.get(event.flag)
        if count is not None and event.score is not None:
            self.observe(event.flag, SHADOW_SCORE, event.score, arm=CANDIDATE, revision=count.revision)

    def record(
        self,
        flag: str,
        *,
        arm: str,
        seconds: float | None = None,
        error: bool | None = None,
        n: int = 1,
        unit: str | bytes | None = None,
        events: Mapping[str, float] | Iterable[str] | None = None,
    ) -> None:
        """
        Count `n` equal observations on `arm`, credited to the revision being counted.

        `arm` is `control` or `candidate`, or the name of a variant: of either that a rollout compares, or of an experiment's.
        `seconds` is a duration, `error` whether it failed (None: not known), `unit` whom it happened to, `events` what the unit
        did (names, or names with values).
        Anything that can't be so is rejected and counted, never raised: see `warnings` of `flags.status()`.
        """
        look()
        arm = arm if arm.__class__ is str else named(arm) or arm
        found = self._by_hand.of(flag, arm)
        if found is None:
            return
        count, arm = found
        if not many(n) or not truth(error):
            self._by_hand.reject(count, arm)
            return
        who = unit if unit is None or isinstance(unit, bytes) else unit_bytes(unit)
        failed = None if error is None else bool(error)
        duration = seconds if seconds.__class__ is float or _maybe(seconds) else nan
        if n == 1:
            count.note(arm, duration, failed, who, self._monotonic())
        else:
            with count.lock:
                count.note_many(arm, duration, failed, n, who, self._monotonic())
        if who is not None:
            count.met(arm, who)
        if events is not None:
            with count.lock:
                self._by_hand.events(count, arm, events, who, n=n)
        if failed and arm == CANDIDATE:
            self._alarm(flag, count.revision)

    def observe(
        self, flag: str, name: str, value: float, *, arm: str, n: int = 1, revision: int | None = None, measured_in: str = ""
    ) -> None:
        """
        Add `value` to the sample `name` of an arm: what a gate with a `quantile` or `kind="mean"` on that name looks at.

        `measured_in`: its unit, which findings and plots are to show, as OpenTelemetry's instruments spell it ("ms", "By").
        """
        look()
        arm = arm if arm.__class__ is str else named(arm) or arm
        if revision is None:
            found = self._by_hand.of(flag, arm)
        else:
            count = self._counts.by_flag.get(flag)
            found = None if count is None or count.revision != revision else (count, arm)
        if found is None:
            return
        count, arm = found
        plain = named(name)
        if not many(n) or plain is None or not isinstance(arm, str):
            self._by_hand.reject(count, arm if isinstance(arm, str) else CONTROL)
            return
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LARGEST:
            self._by_hand.reject(count, arm, n)
            return
        count.observe(arm, plain, float(value), n, measured_in if measured_in.__class__ is str else sentence(measured_in))

    def _alarm(self, flag: str, revision: int) -> None:
        for callback in self._alarms:
            try:
                callback(flag, revision)
            except Exception as error:
                swallow("brake", error)

    # -- what is counted ----------------------------------------------------------------------------------------------

    def count(self, flag: str, revision: int, gates: Sequence[Gate] = ()) -> None:
        """
        Begin counting `flag` at `revision`, dropping older windows; the same revision again changes nothing.

        `gates` name the thresholds that need an exact counter: the bounds of absolute quantile gates.
        """
        self._counts.begin(flag, revision, gates)

    def mark(self, flag: str, revision: int, places: Mapping[str, tuple[int, ...]]) -> None:
        """
        Count by group of users what is beyond `places` (positions of the histogram, by sample) from now on.

        The same for every worker: they come with the evidence. Those marked before stay; of another revision they are ignored.
        """
        self._counts.mark(flag, revision, places)

    def forget(self, flag: str) -> None:
        """Stop counting `flag` and drop what was counted."""
        self._counts.forget(flag)

    def window(self, flag: str) -> Window | None:
        """Everything counted in this process since `count`, with one reading of each gauge; None when it is not counted."""
        look()
        count = self._counts.by_flag.get(flag)
        return None if count is None else count.window(self._gauges.read())

    def read(self, flag: str) -> dict[str, dict[str, Any]]:
        """This process's totals by arm, for people: requests, errors, units, latency quantiles, events, other samples."""
        look()
        count = self._counts.by_flag.get(flag) if isinstance(flag, str) else None
        if count is None:
            return {CONTROL: told(NOTHING), CANDIDATE: told(NOTHING)}
        with count.lock:
            count.fold()
            arms = {CONTROL: NOTHING, CANDIDATE: NOTHING, **{name: arm.totals() for name, arm in count.arms.items()}}
        return {name: told(totals) for name, totals in arms.items()}

    def totals(self, flag: str) -> dict[str, Totals]:
        """This process's totals by arm since `count`; empty where nothing is counted."""
        count = self._counts.by_flag.get(flag)
        if count is None:
            return {}
        with count.lock:
            count.fold()
            return {name: arm.totals() for name, arm in count.arms.items()}

    def recent(self, flag: str) -> dict[str, tuple[int, int]]:
        """Per arm: calls and failures of the last ten seconds, in this process."""
        count = self._counts.by_flag.get(flag)
        if count is None:
            return {}
        now = int(self._monotonic())
        with count.lock:
            count.fold()
            return {name: arm.recent(now) for name, arm in count.arms.items()}

    def on_failure(self, callback: Callable[[str, int], object]) -> None:
        """Call `callback(flag, revision)` right after each failure of a candidate, in the thread it happened in."""
        self._alarms = (*self._alarms, callback)

    def source(self, name: str, fn: Callable[[], float | None], kind: str = "gauge", *, max_age: float = 10.0) -> None:
        """
        An external metric for gates, read whenever a window is taken; `cpu` and `memory` may be replaced.

        `fn` runs in a thread of its own and delays nobody. A reading counts for `max_age` seconds from when `fn` was called: one
        that takes longer is no data, which holds a rollout, and stands in `flags.status().threads`.

        Raises:
            ValueError: `name` can't be a name, `kind` is neither "gauge" (a reading) nor "counter" (a total, read as its growth per
                second), `fn` can't be called, or `max_age` is not a positive number.
        """
        self._gauges.source(name, fn, kind, max_age)

    def health(self) -> dict[str, str]:
        """How the threads of sources are: `running`, or what is wrong."""
        return self._gauges.health()

    def close(self) -> None:
        """End the threads of sources; they begin again with the next window."""
        self._gauges.close()

    def after_fork(self) -> None:
        """In a forked child: new locks (one may have been held), no counts (the parent still reports them)."""
        self._counts.renew()


def _maybe(seconds: object) -> bool:
    """Whether it is a number, or nobody knows."""
    return seconds is None or (isinstance(seconds, (int, float)) and not isinstance(seconds, bool))
