"""Log lines: what changes, once a minute per cause, without a control character; variants on every record of a request."""

import io
import json
import logging
import subprocess
import sys
import textwrap

import pytest

from progflags.context import bind
from progflags.events import Braked, Judged, Moved, Reloaded, SourceFailed
from progflags.telemetry import VariantFilter, add_variants, log_changes


@pytest.fixture
def lines(flags):
    """A standard logger and the records it got."""
    records = []

    class Keep(logging.Handler):
        def emit(self, record):
            records.append(record)

    logger = logging.getLogger("tests.changes")
    handler = Keep()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    log = log_changes(flags, logger)
    yield records
    log.close()
    logger.removeHandler(handler)


def moved(flag="f", target="baking", reason="", revision=1):
    return Moved(flag, revision, "ramping", target, 10.0, "controller", reason, 0.0)


def test_a_transition_is_a_record_with_namespaced_extras(flags, lines):
    """The message reads well alone; a JSON formatter finds each fact under its own name."""
    flags.bus.tell(moved("new-checkout", reason="samples arrived"))

    (record,) = lines
    assert record.getMessage().startswith("rollout moved: flag=new-checkout source=ramping target=baking")
    assert (record.progflags_flag, record.progflags_percent, record.progflags_target) == ("new-checkout", 10.0, "baking")
    assert record.levelno == logging.INFO


def test_what_is_bad_news_is_a_warning(flags, lines):
    for event in (
        moved(target="rolled_back"),
        Braked("f", 1, "20 of 20 failed"),
        Judged("f", 1, "ROLLBACK", "error_rate"),
        SourceFailed("flags.toml", "line 3"),
    ):
        flags.bus.tell(event)

    assert [record.levelno for record in lines] == [logging.WARNING] * 4


def test_a_verdict_that_changes_nothing_is_no_line(flags, lines):
    for decision in ("PASS", "HOLD"):
        flags.bus.tell(Judged("f", 1, decision, "as before"))
    flags.bus.tell(Reloaded("abc", ()))

    assert lines == []


def test_one_cause_is_one_line_a_minute_with_the_number_left_out(flags, lines, clock):
    """A source that fails ten times a second does not fill the log; the next minute's line says how many were left out."""
    for _ in range(480):
        flags.bus.tell(SourceFailed("flags.toml", "not readable"))
        clock.advance(0.125)
    flags.bus.tell(SourceFailed("flags.toml", "not readable"))

    assert len(lines) == 2
    assert lines[1].progflags_suppressed == 479


def test_a_line_cannot_repaint_a_terminal(flags, lines):
    """Escapes, newlines and bells in a reason arrive as text."""
    flags.bus.tell(moved(reason="\x1b[2Jgone\r\nfake line\a"))

    text = lines[0].getMessage()
    assert text.isprintable()
    assert "\\x1b[2Jgone" in text


def test_a_reload_names_at_most_ten_flags(flags, lines):
    flags.bus.tell(Reloaded("abc", tuple(f"flag-{i}" for i in range(500))))

    assert lines[0].getMessage().endswith("flag-9 and 490 more")


def test_after_close_nothing_is_logged(flags):
    stream = io.StringIO()
    logger = logging.getLogger("tests.closed")
    logger.addHandler(logging.StreamHandler(stream))
    log = log_changes(flags, logger)
    log.close()
    log.close()

    flags.bus.tell(moved(target="rolled_back"))

    assert stream.getvalue() == ""


def test_records_written_in_a_request_know_its_variants(rolling):
    """`record.progflags` maps flags to variants inside, and is empty outside."""
    record = logging.LogRecord("x", logging.INFO, "f.py", 1, "hello", (), None)

    with bind("u1", fresh=True):
        on = rolling.is_enabled("new-checkout")
        assert VariantFilter().filter(record)
    inside = record.progflags
    VariantFilter().filter(record)

    assert inside == {"new-checkout": "on" if on else "off"}
    assert record.progflags == {}


def test_structlog_gets_events_and_variants(rolling):
    """A structlog logger is written to in its own manner; the processor adds variants to events of a request."""
    import structlog

    written = []

    def keep(_, __, event):
        written.append(event)
        raise structlog.DropEvent

    logger = structlog.wrap_logger(None, processors=[add_variants, keep], wrapper_class=structlog.BoundLogger)
    log = log_changes(rolling, structlog.wrap_logger(structlog.PrintLogger(io.StringIO()), processors=[keep]))
    rolling.bus.tell(moved("new-checkout"))
    log.close()
    with bind("u1", fresh=True):
        on = rolling.is_enabled("new-checkout")
        logger.info("paid")
    logger.info("outside")

    assert written[0]["event"] == "rollout moved"
    assert written[0]["progflags_flag"] == "new-checkout"
    assert written[1]["progflags"] == {"new-checkout": "on" if on else "off"}
    assert "progflags" not in written[2]


@pytest.mark.parametrize("imported", [True, False])
def test_structlog_is_used_where_the_application_uses_it(imported):
    """Without being told: structlog's configuration if the program has imported it, the standard logger otherwise."""
    program = textwrap.dedent(
        f"""
        import json, logging, sys
        if {imported}:
            import structlog
            structlog.configure(processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.PrintLoggerFactory(sys.stdout))
        logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="plain %(message)s")
        import progflags as pf
        from progflags.telemetry import log_changes
        from progflags.events import Braked
        flags = pf.connect({{"flags": {{"a": {{"percent": 50}}}}}}, poll=None)
        log_changes(flags)
        flags.bus.tell(Braked("a", 1, "blew up"))
        """
    )
    written = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True).stdout

    if imported:
        assert json.loads(written) == {"progflags_flag": "a", "progflags_reason": "blew up", "progflags_revision": 1, "event": "brake"}
    else:
        assert written == "plain brake: flag=a reason=blew up revision=1\n"
