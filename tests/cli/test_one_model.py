"""Text and JSON are two printings of one model: what the JSON does not say changes no text, and every number printed is in it."""

import dataclasses
import io
import json
import math
import re
from contextlib import redirect_stderr, redirect_stdout

import pytest

import progflags as pf
from progflags._connect._status import State, Status
from progflags.canary import CanaryAnalyzer, CanaryReport, Decision, Gate, Verdict
from progflags.cli import main
from progflags.cli._watch import line
from progflags.darklaunch import DarkLaunchVerdict, Safety
from progflags.errors import Problem
from progflags.events import Change, ChangeKind
from progflags.flags import Evaluation, Explanation, Killed, Reason, Step
from progflags.rollout import State as Stand
from progflags.rollout import Transition
from progflags.rollout._forecast import Forecast, Outlook
from progflags.testing import ManualClock

STEP = Transition("f", 1, Stand.BAKING, Stand.HELD, 5.0, "ann", "why", "", 1.8e9)
OUTLOOK = Outlook(5.0, 0.0, 600.0, 2, False, 1234.0, 1.5, 60.0, 700.0, ("sees",), ("hopeless",))
FINDING = (
    CanaryAnalyzer([Gate("error_rate", max=0.1)]).analyze({"error_rate": pf.Rate(3, 700)}, {"error_rate": pf.Rate(17, 900)}).findings[0]
)
EXPLAINED = Explanation(Evaluation("f", True, "on", Reason.SPLIT), (Step("rule 'a'", True, "bucket 3", 30_000, 50_000),), "u (id)")


def of_finding(finding):
    return CanaryReport(Decision.HOLD, "why", (finding,), "sequential", 0.05, {"notes": ["n"], "stopped": "panic"})


MODELS = [
    (Problem("f.toml", 3, "flags.x", "message", "hint"), str),
    (STEP, line),
    (
        Status(
            State.DEGRADED,
            "r1",
            3.25,
            (Problem("f", 1, "k", "m"),),
            source="flags.toml",
            store="memory",
            store_problem="away",
            writable=False,
            write_problem="full",
            saved_at=1.8e9,
            pending=("a kill",),
            panic=Killed("all is lost", "bob", 1.8e9),
            panicking=True,
            threads={"looks": "ended"},
        ),
        str,
    ),
    (Change(ChangeKind.KILL, "f", 1.8e9, "ann", "why", "store", False, True), str),
    (Verdict(Decision.HOLD, "why", eta=60.0, notes=("n",)), str),
    (of_finding(FINDING), str),
    (EXPLAINED, str),
    (DarkLaunchVerdict(Safety.UNDECIDED, 0.01, (0.001, 0.2), 100, 31, ("caveat",)), str),
    (DarkLaunchVerdict(Safety.UNSAFE, 0.01, (0.001, 0.2), 100, 31, ("caveat",), 0.5, (0.4, 0.6)), str),
    (Forecast("standard", (OUTLOOK,), 100.0, 3600.0, 90_000.0, 5.0, 5000.0, 17.0, {"error_rate": "bound"}), str),
]


def others(value):
    """Other values such a field could have; those of what it holds, one at a time."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (Reason, Stand, State, Decision, Safety, ChangeKind)):
        yield from (one for one in type(value) if one is not value)
    elif isinstance(value, (int, float)):
        yield type(value)(value * 2 + 1)
        yield type(value)(0)
    elif isinstance(value, str):
        yield value + "x"
        yield ""
    elif dataclasses.is_dataclass(value):
        yield from (other for _, other in varied(value))
    elif isinstance(value, Evaluation):
        for name in ("key", "value", "variant", "reason", "error_code"):
            yield from (value.replace(**{name: other}) for other in (*others(getattr(value, name)), None) if name != "key" or other)
    elif isinstance(value, dict):
        yield from ({**value, name: other} for name, inner in value.items() for other in others(inner))
    elif isinstance(value, (tuple, list)):
        yield value[:0]
        yield value + value
        yield from (type(value)((*value[:at], other, *value[at + 1 :])) for at, inner in enumerate(value) for other in others(inner))


def varied(thing):
    for field in dataclasses.fields(thing):
        if field.init and not field.name.startswith("_"):
            for other in others(getattr(thing, field.name)):
                yield field.name, dataclasses.replace(thing, **{field.name: other})


@pytest.mark.parametrize(("thing", "text"), MODELS, ids=lambda one: type(one).__name__)
def test_what_the_json_does_not_say_changes_no_text(thing, text):
    """Any field, changed: where the text is another, so is the JSON, and it is JSON."""
    said, told, seen = text(thing), json.dumps(thing.to_dict(), allow_nan=False), 0
    for name, other in varied(thing):
        try:
            changed = text(other)
        except (ValueError, IndexError, KeyError):  # nobody could have made it: an interval without ends
            continue
        if changed != said:
            seen += 1
            assert json.dumps(other.to_dict(), allow_nan=False) != told, name

    assert seen >= 2


def test_what_a_verdict_could_not_know_yet_is_null():
    """A score's interval before the first score has no ends: JSON has no word for infinity."""
    verdict = DarkLaunchVerdict(Safety.UNDECIDED, None, (0.0, 1.0), 0, 3, (), None, (-math.inf, math.inf))

    assert json.loads(json.dumps(verdict.to_dict(), allow_nan=False))["score_interval"] == [None, None]


# -- commands ---------------------------------------------------------------------------------------------------------------

FILE = """
[flags.zq-checkout]
owner = "zq-team"
[flags.zq-checkout.rollout]
stages = [
    { percent = 10, bake = "60s", gates = [{ metric = "error_rate", max_increase = 0.5 }, { metric = "p99_latency", max_increase = 0.5 }] },
    { percent = 37, bake = "45m", gates = [{ metric = "error_rate", max = 0.02 }] },
]
[flags.zq-prices]
rules = [{ name = "zq-first", percent = 10, serve = true }, { name = "zq-second", percent = 10, serve = true }]
percent = 23
"""
NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
SCALES = (1, 100, 1_000, 1e-4, 1 / 60, 1 / 3_600, 1 / 86_400)


def leaves(value):
    """Every number and text of a JSON document, keys included, and how many there are of whatever is listed."""
    if isinstance(value, dict):
        yield len(value)
        for key, inner in value.items():
            yield key
            yield from leaves(inner)
    elif isinstance(value, list):
        yield len(value)
        for inner in value:
            yield from leaves(inner)
    elif value is not None:
        yield value


def unsaid(text, told):
    """What of the text is not in the JSON: numbers (as such, in percent, milliseconds, minutes …) and the words we have made up."""
    found = list(leaves(told))
    words = "\n".join(str(one) for one in found)
    numbers = [float(one) for one in found if isinstance(one, (int, float))]
    numbers += [1 + effect for effect in map(float, re.findall(r'"effect": (-?[\d.]+)', json.dumps(told)))]  # "×2.3" is an effect of 1.3

    def known(number):
        value = float(number.replace(",", ""))
        digits = len(number.partition(".")[2].partition("e")[0])
        significant = len(number.replace(",", "").replace(".", "").lstrip("+-0"))
        return any(
            abs(value) in {round(scaled, digits), float(f"{scaled:.{max(1, significant)}g}"), scaled // 1, scaled % 60 // 1}
            for one in numbers
            for scaled in (abs(one) * scale for scale in SCALES)
        )

    for number in NUMBER.findall(text):
        if number not in words and number.replace(",", "") not in words and not known(number):
            yield number
    yield from (word for word in re.findall(r"zq-\w+", text) if word not in words)


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    """A file, one with a few things otherwise, a store in which a rollout was rolled back and another flag killed, a dark launch."""
    folder = tmp_path_factory.mktemp("one-model")
    path, other, store = folder / "flags.toml", folder / "other.toml", f"sqlite:///{folder}/live.db"
    path.write_text(FILE)
    other.write_text(FILE.replace("23", "41"))
    bad = folder / "bad.toml"
    bad.write_text(FILE.replace("23", "2300"))
    (folder / "baseline.csv").write_text("error_rate\n" + "0\n" * 970 + "1\n" * 30)
    (folder / "canary.csv").write_text("error_rate\n" + "0\n" * 931 + "1\n" * 69)
    clock = ManualClock()
    with pf.connect(path, store=store, poll=None, clock=clock) as flags:
        flags.rollouts.start("zq-checkout", by="zq-ann", reason="zq-release")
        for _ in range(10):
            flags.metrics.record("zq-checkout", arm="control", seconds=0.0123, error=False, n=91)
            flags.metrics.record("zq-checkout", arm="candidate", seconds=0.0271, error=False, n=7)
            flags.metrics.record("zq-checkout", arm="candidate", seconds=0.0271, error=True, n=3)
            clock.advance("5s")
            flags.rollouts.tick()
        flags.kill("zq-prices", by="zq-bob", reason="zq-burns")
    with pf.connect({"flags": {"zq-shadowed": {"percent": 100}}}, store=store, poll=None) as flags:

        def candidate(n):
            if n % 7 == 0:
                raise ValueError("zq")
            return {"price": n % 5 == 0}

        @pf.dark_launch("zq-shadowed", candidate=candidate, flags=flags, executor="inline")
        def price(n):
            return {"price": False}

        for n in range(137):
            price(n)
    return {"flags": path, "other": other, "bad": bad, "store": store, "folder": folder}


COMMANDS = [
    "validate {flags}",
    "validate {bad}",
    "lint {flags}",
    "lint {other}",
    "diff {flags} {other}",
    "doctor --flags {flags} --store {store}",
    "doctor --flags {bad}",
    "explain zq-checkout --flags {flags} --store {store} --key zq-user",
    "explain zq-prices --flags {flags} --key zq-user",
    "explain zq-prices --flags {flags} --store {store} --key zq-user",
    "explain zq-pices --flags {flags} --key zq-user",
    "rollout plan zq-checkout --flags {flags}",
    "rollout plan zq-checkout --flags {flags} --rps 17",
    "rollout status zq-checkout --flags {flags} --store {store}",
    "rollout history zq-checkout --flags {flags} --store {store}",
    "rollout verify zq-checkout --flags {flags} --store {store}",
    "report zq-checkout --flags {flags} --store {store}",
    "log --store {store}",
    "shadow status --store {store}",
    "shadow report --store {store}",
    "canary {folder}/baseline.csv {folder}/canary.csv --gate error_rate<=5%",
    "push {flags} --store sqlite:///{folder}/pushed.db",
]


def run(words):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_number_and_word_of_the_text_is_in_the_json(command, where, monkeypatch):
    """Both printings exit alike, too."""
    monkeypatch.chdir(where["folder"])
    words = command.format(**where).split()
    code, text, problems = run(words)
    again, told, _ = run([*words, "--json"])
    if "push" in words:  # it has been pushed once more
        text = text.replace("revision 1", "revision 2")

    assert code == again
    text = re.sub(re.escape(str(where["folder"])) + r"[^\s:]*|sqlite:\S*|\d{4}-\d\d-\d\d[T ][\d:]+\S*", "", text + problems)
    assert text.strip()
    assert list(unsaid(text, json.loads(told))) == []
