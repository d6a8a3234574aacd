"""Log events: evaluations as often as asked for, changes always, exporters never in the way."""

import subprocess
import sys
import textwrap
import threading
import time

import pytest
from opentelemetry.sdk._logs import LoggerProvider, export
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor

import progflags as pf
from progflags._trouble import counts
from progflags.events import Compared
from progflags.telemetry import _names as names
from progflags.telemetry import instrument
from progflags.telemetry._outbox import Outbox
from support.patience import PATIENCE, until

# Their names since 1.39; the oldest SDK we declare has the others.
LogRecordExporter = getattr(export, "LogRecordExporter", None) or export.LogExporter
InMemoryLogRecordExporter = getattr(export, "InMemoryLogRecordExporter", None) or export.InMemoryLogExporter

EVALUATED = "feature_flag.evaluation"


def ask(flags, users=50):
    for user in range(users):
        flags.is_enabled("new-search", f"u{user}")


def test_by_default_no_evaluation_is_an_event(flags, telling):
    with instrument(flags, logger_provider=telling.loggers):
        ask(flags)

    assert telling.events(EVALUATED) == []


def test_all_of_them(flags, telling):
    """One event per evaluation, with the conventions' attributes, no value and nobody's id."""
    with instrument(flags, logger_provider=telling.loggers, events="all"):
        answers = [flags.evaluate("new-search", False, f"u{user}") for user in range(50)]

    events = [attributes for _, attributes in telling.events(EVALUATED)]
    assert events == [
        {names.KEY: "new-search", names.VARIANT: answer.variant, names.REASON: "split", names.PROVIDER: "progflags", names.VERSION: "0"}
        for answer in answers
    ]


def test_an_error_is_named_by_its_type(flags, telling):
    """`error.type` is OpenFeature's code in lower case; the variant is left out, for the caller's default has none."""
    with instrument(flags, logger_provider=telling.loggers, events="all"):
        flags.evaluate("new-search", "text", "u1")
        flags.evaluate("new-search", False)

    errors = [attributes for _, attributes in telling.events(EVALUATED) if names.ERROR_TYPE in attributes]
    assert [error[names.ERROR_TYPE] for error in errors] == ["type_mismatch", "targeting_key_missing"]
    assert all(error[names.REASON] == "error" and names.VARIANT not in error for error in errors)


def test_changes_tells_each_outcome_once_until_the_flag_changes(rolling, telling):
    """The first of every flag, variant and reason; again after the flag moved."""
    with instrument(rolling, logger_provider=telling.loggers, events="changes"):
        ask(rolling)
        ask(rolling)
        for user in range(40):
            rolling.is_enabled("new-checkout", f"u{user}")
        rolling.rollouts.promote("new-checkout", full=True)
        ask(rolling)
        for user in range(40):
            rolling.is_enabled("new-checkout", f"u{user}")

    told = [(a[names.KEY], a[names.VARIANT]) for _, a in telling.events(EVALUATED)]
    assert sorted(told) == [
        ("new-checkout", "off"),
        ("new-checkout", "on"),
        ("new-checkout", "on"),
        ("new-search", "off"),
        ("new-search", "on"),
    ]


def test_sampled_tells_one_in_a_hundred_and_the_first_of_each(flags, telling):
    with instrument(flags, logger_provider=telling.loggers, events="sampled"):
        ask(flags, users=1000)

    told = [a[names.VARIANT] for _, a in telling.events(EVALUATED)]
    assert 10 <= len(told) <= 12
    assert set(told) == {"on", "off"}


def test_an_event_belongs_to_the_trace_it_happened_in(flags, telling):
    """Emitted from another thread, it still carries the request's trace and span."""
    tracer = telling.tracers.get_tracer("test")
    with instrument(flags, logger_provider=telling.loggers, events="all"), tracer.start_as_current_span("request") as span:
        flags.is_enabled("new-search", "u1")

    (record,) = [log.log_record for log in telling.logs.get_finished_logs()]
    assert record.span_id == span.get_span_context().span_id
    assert record.trace_id == span.get_span_context().trace_id


def test_transitions_and_verdicts_are_events_when_they_are_news(rolling, telling, clock):
    """A pause, a resume; a verdict once, however often it is repeated."""
    with instrument(rolling, logger_provider=telling.loggers):
        rolling.rollouts.pause("new-checkout", reason="lunch")
        rolling.rollouts.resume("new-checkout")
        for _ in range(5):
            clock.advance(11)
            for arm in ("control", "candidate"):
                rolling.metrics.record("new-checkout", arm=arm, seconds=0.01, error=False, n=20, unit=arm)
            rolling.rollouts.tick()

    moved = [a for _, a in telling.events("progflags.rollout.transition")]
    verdicts = [a[names.VERDICT] for _, a in telling.events("progflags.gate.verdict")]
    assert ("paused", "lunch") in [(a[names.TARGET], a[names.CAUSE]) for a in moved]
    assert moved[0]["progflags.rollout.exposure"] == 0.5
    assert all(one != next_ for one, next_ in zip(verdicts, verdicts[1:], strict=False))
    assert len(verdicts) >= 1


def test_mismatches_are_sampled_and_told_by_path(flags, telling):
    with instrument(flags, logger_provider=telling.loggers):
        for _ in range(200):
            flags.bus.tell(Compared("recs", "mismatch", 0.1, 0.1, ("$.total",)))
        flags.bus.tell(Compared("recs", "match", 0.1, 0.1))

    assert (
        telling.events("progflags.shadow.mismatch")
        == [("progflags.shadow.mismatch", {names.KEY: "recs", "progflags.shadow.paths": ("$.total",)})] * 2
    )


class Exporter(LogRecordExporter):
    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=30_000):
        return True


class Raising(Exporter):
    def export(self, batch):
        raise RuntimeError("the collector is down")


class Hanging(Exporter):
    def __init__(self):
        self.entered = threading.Event()
        self.release = threading.Event()

    def export(self, batch):
        self.entered.set()
        self.release.wait(600)


def providing(exporter):
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    return provider


def test_the_providers_own_flush_includes_what_is_on_its_way(flags):
    """`force_flush` of the application's provider, simple or batching, leaves no event behind; so does the handle's `flush`."""
    for kind in (SimpleLogRecordProcessor, BatchLogRecordProcessor):
        exporter = InMemoryLogRecordExporter()
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(kind(exporter))
        with instrument(flags, logger_provider=provider, events="all") as handle:
            for turn in range(1, 11):
                ask(flags, users=20)
                assert provider.force_flush()
                assert len(exporter.get_finished_logs()) == 20 * turn
            ask(flags, users=1)
            assert handle.flush()
        provider.shutdown()


def test_an_exporter_that_hangs_holds_up_no_evaluation_and_no_close(flags, monkeypatch):
    """Ten thousand evaluations pass while the first event is stuck; what does not fit is dropped and counted."""
    monkeypatch.setattr(Outbox.close, "__defaults__", (1.0,))  # as usual
    exporter = Hanging()
    handle = instrument(flags, logger_provider=providing(exporter), events="all")
    flags.is_enabled("new-search", "u1")
    assert exporter.entered.wait(PATIENCE)

    ask(flags, users=10_000)
    began = time.monotonic()
    handle.close()
    took = time.monotonic() - began

    assert flags.counts()["new-search", "on", "SPLIT"] > 2_000
    assert handle._outbox.dropped > 5_000
    assert took < 30  # the exporter hangs for ten minutes
    exporter.release.set()


def test_an_exporter_that_raises_hurts_nobody(flags):
    """Not the evaluation, not the events after it."""
    handle = instrument(flags, logger_provider=providing(Raising()), events="all")

    ask(flags)
    handle.close()

    assert sum(flags.counts().values()) == 50


def test_a_processor_that_raises_is_counted(flags):
    """The SDK lets a processor's exception through; it ends with us, and `counts()` says how often."""
    from opentelemetry.sdk._logs import LogRecordProcessor

    class Broken(LogRecordProcessor):
        def on_emit(self, log_record):
            raise RuntimeError("broken")

        def shutdown(self):
            pass

        def force_flush(self, timeout_millis=30_000):
            return True

    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(Broken())
    before = counts().get("telemetry events", 0)
    with instrument(flags, logger_provider=provider, events="all"):
        ask(flags, users=7)

    assert counts()["telemetry events"] - before == 7


def test_an_exporter_that_uses_a_flag_does_not_feed_itself(flags):
    """Its evaluation is counted and no event: else each event would make another."""
    seen = []

    class Curious(Exporter):
        def export(self, batch):
            seen.append(flags.is_enabled("new-search", "exporter"))

    with instrument(flags, logger_provider=providing(Curious()), events="all"):
        ask(flags, users=3)
        until(lambda: len(seen) >= 3)

    assert len(seen) == 3


def test_a_hung_exporter_does_not_hold_the_interpreter(tmp_path):
    """A program whose collector never answers ends as fast as one without."""
    program = textwrap.dedent(
        """
        import time
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs import export
        from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
        import progflags as pf
        from progflags.telemetry import instrument

        class Hanging(getattr(export, "LogRecordExporter", None) or export.LogExporter):  # the name before 1.39
            def export(self, batch):
                time.sleep(600)
            def shutdown(self):
                pass
            def force_flush(self, timeout_millis=30_000):
                return True

        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(Hanging()))
        flags = pf.connect({"flags": {"a": {"percent": 50}}})
        instrument(flags, logger_provider=provider, events="all")
        print(sum(flags.is_enabled("a", f"u{i}") for i in range(1000)) > 0, flush=True)
        """
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "True\n"
    began = time.monotonic()

    child.wait(120)

    assert time.monotonic() - began < 60  # the exporter hangs for ten minutes
    assert child.returncode == 0
    child.stdout.close()


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_forked_child_sends_its_own_events(flags, telling):
    """The parent's thread and queue stay with the parent; the child starts its own."""
    import os

    handle = instrument(flags, logger_provider=telling.loggers, events="all")
    ask(flags, users=2)
    until(lambda: len(telling.events(EVALUATED)) == 2)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        telling.logs.clear()
        ask(flags, users=3)
        handle._outbox.close()
        os.write(writer, str(len(telling.events(EVALUATED))).encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reader, 10) == b"3"
    handle.close()
    os.close(reader)
    os.close(writer)


def test_an_environment_is_the_set_of_flags(telling):
    """`feature_flag.set.id`, as the conventions have it; without an environment there is none."""
    document = {"flags": {"a": {}}, "environments": {"staging": {}}}
    with pf.connect(document, environment="staging", poll=None) as flags, instrument(flags, logger_provider=telling.loggers, events="all"):
        flags.evaluate("a", False, "u")

    ((_, attributes),) = telling.events(EVALUATED)
    assert attributes[names.SET] == "staging"
