"""What people read: no character that a terminal obeys, no line without end, whoever chose the words in it."""

import ast
import dataclasses
import io
import json
import logging
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import progflags as pf
from progflags import asgi, errors, events
from progflags._anonymous import AnonymousId
from progflags._connect._status import State as ClientState
from progflags._connect._status import Status
from progflags._printed import LINE, MESSAGE, cut, json_text, markup, paragraph, printable, quoted, several
from progflags._trouble import say, swallow
from progflags.canary import CanaryAnalyzer, CanaryReport, Decision, Gate, Verdict
from progflags.canary._grammar import parse_gate
from progflags.cli import main
from progflags.cli._now import Screen
from progflags.cli._watch import line, screen
from progflags.context import as_context
from progflags.darklaunch import DarkLaunchVerdict, Safety
from progflags.darklaunch.compare._noise import Proposal
from progflags.darklaunch.record._failure import Failure
from progflags.events import Change, ChangeKind
from progflags.flags import Evaluation, Explanation, Reason, Step, json_schema
from progflags.notify import Message, Severity
from progflags.notify._chat import slack_form
from progflags.notify._email import letter
from progflags.overview import Item, Level, Now
from progflags.rollout import RolloutStatus, State, Transition
from progflags.rollout._forecast import Forecast, Outlook
from progflags.rollout._lint import Advice
from progflags.store import open_store
from progflags.telemetry import log_changes

HOSTILE = {
    "ESC": "a\x1b[2J\x1b]0;owned\x07b",
    "C1": "a\x9b31mb\x85c",
    "bidi": "user\u202eresu\u2066x\u2069",
    "surrogate": "paid\ud83d",
    "lines": "one\ntwo\r\nthree\u2028four\x0bfive",
    "null": "a\x00b\x7f",
    "endless": "x" * 200_000,
    "endless and wide": "\U0001f600\x1b" * 20_000,
    "markup": "<script>alert(1)</script>\x1b",
}


def unprintable(text):
    """The characters of `text` that no terminal should be sent, line breaks aside."""
    return {character for character in text if not character.isprintable() and character != "\n"}


def fine(text, *, whole=True):
    """Whether `text` may be printed: by its characters, its lines and (a message) its length."""
    assert not unprintable(text), unprintable(text)
    assert all(len(row.encode()) <= LINE for row in text.split("\n"))
    assert not whole or len(text.encode()) <= 4096
    return True


# -- the one place ----------------------------------------------------------------------------------------------------------


@given(st.text(st.characters(codec=None), max_size=4_000), st.integers(80, 1_500))
def test_what_is_printable_has_no_control_character_and_an_end(text, limit):
    """Whatever the text; twice is once."""
    said = printable(text, limit)

    assert said.isprintable()
    assert len(said.encode()) <= limit
    assert printable(said, limit) == said
    assert said == text or not text.isprintable() or len(text.encode()) > limit


@given(st.lists(st.text(max_size=300), max_size=60))
def test_a_paragraph_ends_and_says_how_much_is_missing(lines):
    """Every line that is there is whole, and those that are not are counted."""
    said = paragraph(lines).split("\n") if lines else []
    rest = [row for row in said[-1:] if row.startswith("… and ") and row not in map(printable, lines)]
    shown = len(said) - len(rest)

    assert len("\n".join(said).encode()) <= MESSAGE
    assert said[:shown] == [printable(row) for row in lines[:shown]]
    assert not rest or rest[0] == f"… and {len(lines) - shown:,} more"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(st.characters(codec=None)), st.lists))
def test_json_is_lossless_and_ascii(value):
    """Also of what no terminal should be sent."""
    text = json_text(value)

    assert json.loads(text) == value
    assert text.isascii()
    assert text.isprintable()


def test_what_can_not_be_written_is_named():
    """A `repr` that raises, a number of 5,000 digits, a list of a million."""

    class Shy:
        def __repr__(self):
            raise RuntimeError

        __str__ = __repr__

    assert "Shy" in quoted(Shy())
    assert "Shy" in printable(Shy())
    assert quoted(10**5_000) == "<int>"
    assert quoted([1] * 1_000_000) == "[1, 1, 1, 1, 1, 1, ...]"
    assert several(["a"] * 12, 2) == "a, a … and 10 more"
    assert cut("é" * 1_000, 100) == "é" * 30 + "… (970 more characters)"
    assert markup("<b>\x1b") == "&lt;b&gt;\\x1b"


# -- every printer, every field ---------------------------------------------------------------------------------------------

STEP = Transition("f", 1, State.BAKING, State.HELD, 5.0, "ann", "why", "", 1.8e9)
STATUS = RolloutStatus(
    flag="f",
    state=State.HELD,
    stage=0,
    stages=2,
    percent=5.0,
    since=1.8e9,
    bake=60.0,
    baked=10.0,
    bake_left=50.0,
    samples={"control": 1, "candidate": 2},
    min_samples=3,
    verdict=None,
    why="why",
    findings=({"metric": "m", "decision": "HOLD", "reason": "r"},),
    reason="reason",
    actor="ann",
    run=1,
    profile="p",
    reach=5.0,
    waiting="w",
    history=(STEP,),
    notes=("n",),
)
FINDING = CanaryAnalyzer([Gate("error_rate", max=0.1)]).analyze({"error_rate": pf.Rate(1, 100)}, {"error_rate": pf.Rate(1, 100)})
OUTLOOK = Outlook(5.0, 0.0, 60.0, 1, False, None, None, None, None, ("sees",), ("hopeless",))
SAMPLES = [
    (errors.Problem("f.toml", 1, "flags.x", "m", "h"), [str]),
    (STEP, [line]),
    (
        Status(ClientState.READY, "r", 1.0, (errors.Problem("f", 1, "k", "m"),), source="s", store="s", store_problem="p", pending=("x",)),
        [str],
    ),
    (STATUS, [str, screen]),
    (Change(ChangeKind.KILL, "f", 1.8e9, "ann", "why", "s", False, True), [str]),
    (Change(ChangeKind.DEFINITION, "f", 1.8e9, "ann", "why", "s", "aa", "bb"), [str]),
    (Verdict(Decision.HOLD, "r", notes=("n",)), [str]),
    (Gate("error_rate", max=0.1), [str]),
    (Step("what", False, "why"), [str]),
    (Advice("rule", ("stages", 0), "message"), [str]),
    (Failure("ValueError", "search.py:41", "message"), [str]),
    (Proposal(pf.ignore("$.a"), "$.a", 1, 1, 2), [str]),
    (Explanation(Evaluation("f", True, "on", Reason.DEFAULT), (Step("w", True, "y"),), "unit"), [str]),
    (FINDING.findings[0], [lambda finding: str(CanaryReport(Decision.HOLD, "r", (finding,), "sequential", 0.05))]),
    (FINDING.findings[0], [lambda finding: CanaryReport(Decision.HOLD, "r", (finding,), "sequential", 0.05).to_html()]),
    (FINDING, [str, CanaryReport.to_html, CanaryReport._repr_html_]),
    (DarkLaunchVerdict(Safety.UNDECIDED, 0.0, (0.0, 1.0), 1, 3, ("c",)), [str]),
    (Forecast("p", (OUTLOOK,), 100.0, 60.0, 120.0, 5.0), [str]),
    (OUTLOOK, [str]),
    (Item("kill", "f", Level.TROUBLE, "said", "do"), [str, lambda item: Screen(Now((item,))).screen(width=80, height=24)]),
    (
        Message("i", "kill", "f", "t", Severity.INFO, "title", ("said",), "do", "https://x", "ann", ("tag",), 1.8e9, ()),
        [
            str,
            lambda message: message.headline,
            lambda message: slack_form(message)["text"],
            lambda message: letter(message, "a@b.c", ["d@e.f"])["Subject"],
        ],
    ),
    (DarkLaunchVerdict(Safety.UNDECIDED, 0.0, (0.0, 1.0), 1, 3, ("c",), 0.5, (0.4, 0.6)), [str]),
]


def poisoned(sample, text):
    """The object with `text` in each of its fields that holds words, one at a time."""
    for field in dataclasses.fields(sample):
        value = getattr(sample, field.name)
        if field.name in {"kind", "state", "source", "target", "decision", "severity", "method"}:
            continue  # words of ours
        if type(value) is str:
            yield field.name, text
        elif isinstance(value, tuple) and value and type(value[0]) is str:
            yield field.name, (text,) * 3
        elif isinstance(value, dict) and field.name == "extra":
            yield field.name, {"title": text, "notes": (text,), "steps": (poison_step(text),)}
        elif isinstance(value, tuple) and value and isinstance(value[0], dict):
            yield field.name, tuple({name: text for name in row} | {"decision": "HOLD"} for row in value)
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for name, inner in poisoned(value[0], text):
                yield field.name, (dataclasses.replace(value[0], **{name: inner}),)


def poison_step(text):
    return {"at": 1.8e9, "from": text, "to": text, "percent": 5.0, "actor": text, "reason": text}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_field_of_anything_printed_reaches_a_terminal_raw(kind):
    """Hostile words in every field of everything that is printed: statuses, steps, verdicts, reports (HTML too), problems."""
    seen = 0
    for sample, printers in SAMPLES:
        for name, value in poisoned(sample, HOSTILE[kind]):
            thing = dataclasses.replace(sample, **{name: value})
            for said in (printer(thing) for printer in printers):
                seen += 1
                assert not unprintable(said), (type(sample), name)
                prose = said.partition("<pre>")[0]  # a page has its style, and at its end the numbers as JSON, whole
                assert len(prose.encode()) < 40_000, (type(sample), name)
                assert "<script>" not in said or "<!doctype" not in said

    assert seen > 40


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_error_is_long_or_raw(kind):
    """Every error of ours, with hostile words in all of its arguments, as `str` and as `repr`."""
    text = HOSTILE[kind]
    problems = [errors.Problem(text, 3, text, text, text)] * 2_000
    for error in (
        errors.DefinitionError(problems),
        errors.TransitionRefused(text, state=text, legal=[text]),
        errors.ConflictError(text),
        errors.StoreError(text),
        errors.ClosedError(text),
        errors.MissingExtraError(text, text),
        errors.ProgflagsError(text),
    ):
        assert not unprintable(str(error)), error
        assert not unprintable(repr(error))
        assert max(len(str(error).encode()), len(repr(error).encode())) <= 4_300
    assert len(errors.DefinitionError(problems).problems) == 2_000


def refusals(text, flags):
    """Public functions that take a name, a path, a number, with hostile words for it."""
    rollouts = flags.rollouts
    for verb in ("start", "pause", "resume", "approve", "promote", "skip", "rollback", "abort", "retry", "kill", "unkill"):
        yield lambda verb=verb: getattr(rollouts, verb)(text, reason=text, by=text)
    for question in ("status", "history", "report", "verify", "plan"):
        yield lambda question=question: getattr(rollouts, question)(text)
    yield lambda: flags.override({text: text}).__enter__()
    yield lambda: flags.override({"on": text}).__enter__()
    yield lambda: open_store(text)
    yield lambda: pf.connect(text)
    yield lambda: pf.connect({"flags": {text: {text: text}}, text: text})
    yield lambda: pf.connect({"flags": {"x": {"rules": [{"when": text}]}}})
    yield lambda: pf.connect({"flags": {"x": {"requires": [{"flag": text}]}}})
    yield lambda: pf.connect({"flags": {"x": {}}}, poll=text)
    yield lambda: pf.connect({"flags": {}}, environment=text)
    yield lambda: pf.connect({"flags": {}, "environments": {text: {"flags": {text: text}}}}, environment=text)
    yield lambda: pf.connect({"flags": {}, "environments": {"staging": {}}}, environment=[text])
    yield lambda: pf.rollout.Plan.of({"profile": text}, rules={text: {"extends": text}})
    yield lambda: pf.rollout.Plan.of({}, rules={"*": text})
    yield lambda: Gate(text)
    yield lambda: Gate("error_rate", max=text)
    yield lambda: Gate("error_rate", max=1, kind=text)
    yield lambda: Gate.of({"metric": "m", text: text})
    yield lambda: parse_gate(text)
    yield lambda: flags.metrics.source(text, 5)
    yield lambda: pf.ignore(text)
    yield lambda: pf.tolerance(text, abs=text)
    yield lambda: pf.Flag(text)
    yield lambda: pf.Flag([text])
    yield lambda: pf.Rate(text, 5)
    yield lambda: CanaryAnalyzer([Gate("error_rate", max=0.1)]).analyze({text: text}, {"error_rate": text})
    yield lambda: CanaryAnalyzer([Gate("error_rate", max=0.1)]).analyze(text, text)
    yield lambda: pf.dark_launch(text, candidate=text)
    yield lambda: pf.dark_launch("x", candidate=print, executor=text)
    yield lambda: as_context({text: text})
    yield lambda: pf.connect({"flags": {}}, store=text)
    yield lambda: pf.connect({"flags": {}}, last_known_good=[text])
    yield lambda: flags.changes(text, since=text)
    yield lambda: flags.changes(limit=text)
    yield lambda: flags.unkill(text, reason=text, by=text)
    yield lambda: flags.metrics.record(text, arm=text, seconds=text)
    yield lambda: flags.metrics.observe(text, text, text, arm=text)
    yield lambda: flags.metrics.read(text)
    yield lambda: flags.track(text, text, text)
    yield lambda: rollouts.forecast(text, rps=text)
    yield lambda: rollouts.dark_launches(text)
    yield lambda: pf.Context(text, text)
    yield lambda: AnonymousId(text)
    yield lambda: asgi.FlagsMiddleware(text, flags=text, anonymous=text)
    yield lambda: json_schema(text)


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_a_public_function_says_no_with_is_short_and_printable(kind):
    """At most 4 KB and no control character in any message, whatever was handed in. (A request is never told: it gets its default.)"""
    text = HOSTILE[kind]
    said = []
    with pf.connect({"flags": {"on": {"percent": 100}}}, poll=None) as flags:
        for refusal in refusals(text, flags):
            try:
                refusal()
            except Exception as error:
                said.append(error)

    assert len(said) > 25
    for error in said:
        assert fine(str(error)), (type(error), str(error)[:200])


@pytest.mark.parametrize("kind", HOSTILE)
def test_explanations_are_printable_and_their_lines_end(kind):
    """Of an unknown flag, a killed one, a hostile unit, attribute, prerequisite and variant."""
    text = HOSTILE[kind]
    rule = {"when": {"attribute": "id", "op": "in", "value": [text if text.isprintable() else "x"] * 3}, "serve": True}
    with pf.connect({"flags": {"on": {"rules": [rule]}, "text": {"variants": {"a": "x" * 100_000, "b": ""}}}}, poll=None) as flags:
        flags.kill("text", reason=text if kind != "surrogate" else "x", by="ann")
        for said in (
            flags.explain(text, "u1"),
            flags.explain("on", pf.Context(text if kind != "surrogate" else "u", {"id": text})),
            flags.explain("text", "u1"),
        ):
            assert not unprintable(str(said))
            assert all(len(row.encode()) <= LINE for row in str(said).split("\n"))


def test_a_list_of_50_000_ids_is_shortened():
    """Its first few and how many more, in the text and in the JSON's sentence."""
    rule = {"when": {"attribute": "id", "op": "in", "value": [f"user-{number}" for number in range(50_000)]}, "serve": True}
    with pf.connect({"flags": {"on": {"rules": [rule]}}}, poll=None) as flags:
        said = [flags.explain("on", pf.Context("u", {"id": who})) for who in ("user-7", "nobody")]

    for explained in said:
        assert "… and 49,990 more" in str(explained)
        assert fine(str(explained))
        assert len(json.dumps(explained.to_dict())) < 4096


def test_a_circle_of_2_000_prerequisites_is_told_in_a_line_each():
    """It printed 30 MB."""
    document = {"flags": {f"flag-{number}": {"requires": [{"flag": f"flag-{(number + 1) % 2_000}"}]} for number in range(2_000)}}
    document["flags"]["fine"] = {"percent": 100}
    with pf.connect(document, poll=None) as flags:
        rejected = flags.status().rejected

    assert len(rejected) == 2_000
    assert all("flag-0 → flag-1 → " in str(one) and "… (1,990 more) → flag-0" in str(one) for one in rejected)
    assert max(len(str(one)) for one in rejected) < 400
    assert len(json.dumps([one.to_dict() for one in rejected])) < 1_000_000


def test_a_dotted_key_of_24_kb_is_refused_at_once(tmp_path):
    """The parser took a second and a half for it; the line is named, and what looks like one in a text is a text."""
    path = tmp_path / "flags.toml"
    path.write_text("[flags.on]\npercent = 100\n" + ".".join("a" * 12_000) + " = 1\n")
    with pytest.raises(errors.DefinitionError, match="flags.toml:3: a key of more than 64 parts"):
        pf.connect(path, poll=None)

    path.write_text('[flags.on]\npercent = 100\ndescription = "' + "." * 12_000 + '"\n')
    with pf.connect(path, poll=None) as flags:
        assert flags.get("on", False, "u1")


# -- the log ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HOSTILE)
def test_log_lines_are_printable_and_end(kind, caplog):
    """What was swallowed, what is said, and what a change is told by."""
    text = HOSTILE[kind]
    caplog.set_level(logging.DEBUG, "progflags")
    swallow(text + "place", ValueError(text))
    say("place", text, cause=text)
    with pf.connect({"flags": {"on": {"percent": 100}}}, poll=None) as flags:
        told = log_changes(flags, logging.getLogger("progflags"))  # wherever structlog is in use, too
        flags.bus.tell(events.Moved(text, 1, "baking", "held", 5.0, text, text, 1.8e9))
        flags.bus.tell(events.SourceFailed(text, text))
        told.close()

    assert len(caplog.records) >= 3
    for record in caplog.records:
        assert not unprintable(record.getMessage())
        assert len(record.getMessage().encode()) <= 4096
        assert not unprintable(logging.Formatter().format(record).replace("\n", " "))  # a traceback at DEBUG, too


def test_a_line_number_makes_no_new_cause(caplog):
    """The same mistake one line further down is the same cause: one line a minute, and a count of the others."""
    for number in range(50):
        say("a source of this test", f"the last known good serves on: flags.toml:{number}: a flag is 'x{number}'")

    assert len([record for record in caplog.records if "a source of this test" in record.getMessage()]) == 1


def test_an_edit_that_stays_wrong_is_logged_once_a_minute(tmp_path, caplog):
    """Somebody moves a broken flag about in the file: one cause, however many lines it has stood on."""
    path = tmp_path / "flags.toml"
    path.write_text("[flags.edited-often]\npercent = 50\n")
    with pf.connect(path, poll=None) as flags:
        for number in range(1, 20):
            path.write_text("\n" * number + "[flags.edited-often]\npercent = 500\n")
            flags.refresh()

    assert len([record for record in caplog.records if "edited-often" in record.getMessage()]) == 1


# -- the command line -------------------------------------------------------------------------------------------------------


def run(*words):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind not in {"null", "endless", "endless and wide"}])
def test_no_command_prints_anything_raw(kind, tmp_path):
    """Hostile words in the file, in its name, in every argument; text and JSON, standard output and standard error."""
    text = HOSTILE[kind]
    path = tmp_path / "flags.json"
    path.write_text(json.dumps({"flags": {text: {"percent": 500, text: text}, "on": {"description": text, "percent": 100}}}))
    good = tmp_path / "good.json"
    good.write_text(json.dumps({"flags": {"on": {"percent": 50, "rollout": {"profile": "standard"}}, "off": {}}}))
    store = f"sqlite:///{tmp_path}/live.db"
    commands = [
        ("validate", path),
        ("validate", text),
        ("lint", path),
        ("explain", text, "--flags", good, "--key", text, "--attr", f"a={text}"),
        ("evaluate", text, "--flags", good, "--key", text),
        ("diff", path, good),
        ("doctor", "--flags", path, "--store", "nosuch://" + text),
        ("kill", text, "--flags", good, "--store", store),
        ("kill", "off", "--flags", good, "--store", store, "--reason", text, "--by", text),
        ("explain", "off", "--flags", good, "--store", store, "--key", "u1"),
        ("rollout", "start", "on", "--flags", good, "--store", store, "--reason", text, "--by", text),
        ("rollout", "status", "on", "--flags", good, "--store", store),
        ("rollout", "history", "on", "--flags", good, "--store", store),
        ("rollout", "status", text, "--flags", good, "--store", store),
        ("rollout", "verify", "on", "--flags", good, "--store", store),
        ("rollout", "verify", text, "--flags", good, "--store", store),
        ("rollout", "abort", "on", "--flags", good, "--store", store, "--reason", text, "--by", text),
        ("rollout", "watch", "on", "--flags", good, "--store", store),
        ("report", "on", "--flags", good, "--store", store),
        ("report", text, "--flags", good, "--store", store),
        ("unkill", "off", "--flags", good, "--store", store, "--reason", text, "--by", text),
        ("panic", "--flags", good, "--store", store, "--reason", text, "--by", text),
        ("explain", "on", "--flags", good, "--store", store, "--key", text),
        ("unpanic", "--flags", good, "--store", store, "--reason", text, "--by", text),
        ("log", "--store", store),
        ("log", text, "--store", store, "--since", text),
        ("shadow", "status", text, "--store", store),
        ("shadow", "report", "--store", text),
        ("test", good),
        ("test", path),
        ("codegen", path),
        ("rollout", "plan", text, "--flags", good),
        ("canary", text, text, "--gate", text),
        ("canary", good, text, "--gate", "error_rate<=1%"),
        ("replay", text),
        ("push", path, "--store", store),
        ("push", text, "--store", text),
        (text,),
        ("rollout", text),
        ("evaluate", "on", text, text),
    ]
    for words in commands:
        for options in ((), ("--json",)):
            code, out, err = run(*words, *options)
            assert code in {0, 1, 2, 3}
            assert not unprintable(out + err), (words, options)
            assert all(len(row) <= LINE for row in ("" if options else out + err).split("\n")), words
            if options and out:
                assert out.isascii()


# -- the mechanism ----------------------------------------------------------------------------------------------------------

SOURCE = Path(pf.__file__).parent
BUILT_IN = {"ValueError", "TypeError", "LookupError", "KeyError", "RuntimeError"}


def trees():
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE), ast.parse(path.read_text())


def test_the_command_line_prints_in_one_place():
    """`print` is called by cli/_say.py, and by codegen, whose output is a file."""
    found = {
        str(path)
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }

    assert found == {"cli/_say.py", "cli/_codegen.py"}


def test_no_error_message_quotes_a_value_without_end():
    """A built-in error of ours says `quoted(value)`, never `value!r`: a message has an end though the value has none."""
    found = [
        f"{path}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and getattr(node.exc.func, "id", "") in BUILT_IN
        for part in ast.walk(node.exc)
        if isinstance(part, ast.FormattedValue) and part.conversion == ord("r") and not _ours(part.value)
    ]

    assert not found


def _ours(value):
    """A name that stands in the source itself (of an attribute that is missing), or an item of a list of ours."""
    text = ast.unparse(value)
    return text in {"near[0]", "asked", "str(word)", "key", "opens"} or text.startswith("method")


def test_every_class_that_prints_itself_is_fuzzed():
    """Who writes a `__str__` for people gives it to the test above."""
    known = {type(sample).__name__ for sample, _ in SAMPLES} | {"Explanation", "ProgflagsError", "DefinitionError"}
    #: parts of these, a class and a line of code, or made of nothing but numbers and words of the file's format, which are bounded when it is read
    inner = {"Failure", "SemVer", "Moment", "Network", "Compare", "Every", "Some", "Never", "Named", "Unit", "Rule", "Version"}
    inner |= {
        "Alphabetical",
        "Among",
        "Derived",
        "FromNow",
        "Hour",
        "Hours",
        "Length",
        "Pair",
        "Remainder",
        "Table",
        "Weekday",
    }  # in an Explanation, and there printed
    found = {
        node.name
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for part in node.body
        if isinstance(part, ast.FunctionDef) and part.name == "__str__"
    }

    assert found <= known | inner, found - known - inner
