"""What an experiment says about itself: outcomes that add up, causes by path, nothing that should not be kept."""

import contextlib
import json
import logging
import os

import pytest

from darklaunch.conftest import make_client
from progflags.context import Context, bind
from progflags.darklaunch import JsonLines, Outcome, Safety, dark_launch, experiments, ignore, tolerance
from progflags.darklaunch.lanes._limits import Breaker, CpuBudget, Rate
from progflags.events import Compared
from progflags.flags import set_default
from progflags.testing import ManualClock


def launched(control, candidate, flags, **options):
    return dark_launch(options.pop("flag", "on"), candidate=candidate, flags=flags, executor="inline", **options)(control)


def one(function):
    """The one outcome that occurred."""
    stats = function.dark_launch.stats()
    assert stats.calls == sum(stats.outcomes.values()) == 1
    return next(name for name, count in stats.outcomes.items() if count)


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("control", "candidate", "options", "outcome"),
    [
        (lambda: 1, lambda: 1, {}, "match"),
        (lambda: 1, lambda: 2, {}, "mismatch"),
        (lambda: 1, lambda: 1, {"flag": "off"}, "off"),
        (lambda: 1, lambda: 1, {"flag": "unknown"}, "off"),
        (lambda: 1, lambda: 1, {"sample": 0.0}, "not_sampled"),
        (lambda: 1, lambda: 1, {"run_if": lambda: False}, "not_sampled"),
        (lambda: 1, lambda: 2, {"ignore_if": lambda a, b: True}, "ignored"),
        (lambda: 1, lambda: 2, {"rules": [ignore("$")]}, "ignored"),
        (lambda: {"at": 1}, lambda: {"at": 2}, {"rules": [ignore("$.at")]}, "match"),
        (lambda: 1.0, lambda: 1.001, {"rules": [tolerance("$", abs=0.01)]}, "match"),
        (lambda: 1, lambda: 1.0, {}, "mismatch"),
        (lambda: 1, lambda: 1.0, {"strict_types": False}, "match"),
        (lambda: 1, lambda: 2, {"compare": lambda a, b: True}, "match"),
        (lambda: 1, lambda: 1, {"compare": lambda a, b: False}, "mismatch"),
        (lambda: 1, lambda: 1, {"compare": lambda a, b: "yes"}, "compare_error"),
        (lambda: 1, lambda: fail(ValueError("x")), {}, "candidate_error"),
        (lambda: fail(ValueError("at 0x7f00")), lambda: fail(ValueError("at 0x7f01")), {}, "control_error_match"),
        (lambda: fail(ValueError("x")), lambda: fail(ValueError("y")), {}, "control_error_mismatch"),
        (lambda: fail(ValueError("x")), lambda: fail(KeyError("x")), {}, "control_error_mismatch"),
        (lambda: fail(ValueError("x")), lambda: fail(KeyError("x")), {"compare_errors": lambda a, b: True}, "control_error_match"),
        (lambda: fail(ValueError("x")), lambda: 1, {}, "control_error_mismatch"),
        (lambda: object(), lambda: object(), {}, "compare_error"),
    ],
)
def test_every_call_has_the_one_outcome_that_describes_it(control, candidate, options, outcome, flags, engine):
    function = launched(control, candidate, flags, **options)
    with contextlib.suppress(ValueError):
        function()

    assert one(function) == outcome


def test_no_default_client_means_control_only_counted_off(engine):
    @dark_launch("on", candidate=lambda: 2, executor="inline")
    def control():
        return 1

    set_default(None)
    assert control() == 1
    assert one(control) == Outcome.OFF


def test_the_default_client_is_found_when_the_call_is_made(engine):
    @dark_launch("on", candidate=lambda: 1, executor="inline")
    def control():
        return 1

    set_default(make_client())
    try:
        control()
    finally:
        set_default(None)
    assert one(control) == "match"


def test_a_changed_flag_counts_from_the_next_call_on(flags, engine):
    from progflags.flags import parse

    function = launched(lambda: 1, lambda: 1, flags, flag="off")
    function()
    flags.install(parse({"flags": {"off": {"percent": 100}}}, file="<dict>", lines=lambda _: None))
    function()
    with flags.override({"off": False}):
        function()

    outcomes = function.dark_launch.stats().outcomes
    assert (outcomes["off"], outcomes["match"]) == (2, 1)


def test_the_same_unit_is_always_in_or_always_out(flags, engine):
    """By key=, or by the bound context; without either, each call draws for itself."""
    by_key = launched(lambda user: 1, lambda user: 1, flags, flag="half", key=lambda user: user)
    for _ in range(3):
        for n in range(100):
            by_key(f"user-{n}")
    assert by_key.dark_launch.stats().outcomes["match"] % 3 == 0
    assert 90 < by_key.dark_launch.stats().outcomes["match"] < 210

    by_context = launched(lambda: 1, lambda: 1, flags, flag="half")
    for _ in range(50):
        with bind(Context("user-1")):
            by_context()
    assert set(map(bool, (by_context.dark_launch.stats().outcomes[name] for name in ("match", "not_sampled")))) == {True, False}

    alone = launched(lambda: 1, lambda: 1, flags, flag="half")
    for _ in range(200):
        alone()
    assert 50 < alone.dark_launch.stats().outcomes["match"] < 150


def test_a_flag_of_a_tenth_and_a_sample_of_a_half_shadow_a_twentieth(flags, engine):
    function = launched(lambda user: 1, lambda user: 1, flags, flag="tenth", sample=0.5, key=lambda user: user)
    for n in range(4000):
        function(n)

    assert 140 < function.dark_launch.stats().outcomes["match"] < 270


def test_mismatches_are_grouped_by_path_and_by_cause(flags, engine):
    def candidate(n):
        return {"items": [{"price": n}, {"price": n + n % 2}], "at": n + (n % 10 == 0)}

    function = launched(lambda n: {"items": [{"price": n}, {"price": n}], "at": n}, candidate, flags)
    for n in range(100):
        function(n)

    assert function.dark_launch.stats().mismatches == {"$.items[*].price": 50, "$.at": 10}
    report = function.dark_launch.report()
    assert {cause["path"]: cause["count"] for cause in report["causes"]} == {"$.items[*].price": 50, "$.at": 10}
    assert all(len(cause["samples"]) <= 5 for cause in report["causes"])
    assert report["groups"] == [{"paths": ["$.items[*].price value"], "count": 50}, {"paths": ["$.at value"], "count": 10}]
    json.dumps(report)


def test_samples_are_drawn_from_all_mismatches_not_only_the_first(flags, engine):
    """The first five are stale after a deploy."""
    function = launched(lambda n: {"n": n}, lambda n: {"n": -n}, flags, reveal=["$.n"])
    for n in range(1, 500):
        function(n)

    kept = [sample["control"]["value"] for sample in function.dark_launch.report()["causes"][0]["samples"]]
    assert len(kept) == 5
    assert max(kept) > 20


def test_paths_and_samples_are_bounded(flags, engine):
    names = [f"k{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(400)]
    function = launched(lambda n: {names[n]: 1}, lambda n: {names[n]: 2}, flags)
    for n in range(400):
        function(n)

    stats = function.dark_launch.stats()
    assert len(stats.mismatches) <= 201
    assert sum(stats.mismatches.values()) == 400
    assert len(function.dark_launch.report()["groups"]) <= 101


SECRETS = [f"s3cr3t-{n:02}-{'x' * n}" for n in range(40)]


def test_no_sink_holds_a_value_that_was_not_asked_for(flags, engine, tmp_path, caplog):
    """Forty secrets in arguments, results, keys, exceptions, nested and revealed under a secret's name: in no sink, at DEBUG."""
    caplog.set_level(logging.DEBUG)
    told = []
    flags.bus.listen(Compared, told.append)

    def boom(secret):
        raise ValueError(f"cannot use {secret}")

    def control(n, secret):
        if n % 4 == 3:
            boom(secret)
        return {"plain": secret, "password": secret, "list": [secret], secret: 1, "pair": (n, {"token": secret})}

    def candidate(n, secret):
        if n % 4 == 1:
            boom(secret)
        return {"plain": secret[::-1], "password": "", "list": [secret, secret], secret: 2, "pair": (n, {"token": secret + "!"})}

    record = tmp_path / "record.jsonl"
    function = launched(
        control,
        candidate,
        flags,
        record=record,
        reveal=["$.password", "$.pair[*].token"],
        key=lambda n, secret: fail(KeyError(secret)) if n == 5 else n,
    )
    for n, secret in enumerate(SECRETS):
        with contextlib.suppress(ValueError):
            function(n, secret)
    report = json.dumps(function.dark_launch.report(), default=repr)
    everything = report + record.read_text() + caplog.text + repr(told) + repr(function.dark_launch.stats())

    assert record.read_text().count("\n") >= 20
    assert [secret for secret in SECRETS if secret in everything or secret[::-1] in everything] == []


def test_a_value_is_kept_where_it_was_asked_for(flags, engine):
    function = launched(lambda: {"total": 1}, lambda: {"total": 2}, flags, reveal=["$.total"])
    function()

    sample = function.dark_launch.report()["causes"][0]["samples"][0]
    assert (sample["control"]["value"], sample["candidate"]["value"]) == (1, 2)


def test_compared_is_told_with_the_words_of_the_statistics(flags, engine):
    told = []
    flags.bus.listen(Compared, told.append)
    launched(lambda: {"a": 1}, lambda: {"a": 2}, flags)()

    assert (told[0].flag, told[0].outcome, told[0].paths, told[0].error) == ("on", "mismatch", ("$.a",), None)
    assert told[0].control > 0 < told[0].candidate


def test_recorded_calls_are_their_owners_alone(tmp_path):
    """Whatever the umask: new files, rotated ones, and one that somebody made readable for all."""
    path = tmp_path / "calls.jsonl"
    path.touch()
    path.chmod(0o644)
    before = os.umask(0)
    try:
        sink = JsonLines(path, max_bytes=100, backups=2)
        for number in range(20):
            sink({"number": number})
    finally:
        os.umask(before)

    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_json_lines_file_rotates_and_never_exceeds_its_bound(tmp_path):
    path = tmp_path / "x.jsonl"
    sink = JsonLines(path, max_bytes=1_000, backups=2)
    for n in range(500):
        sink({"n": n})

    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["x.jsonl", "x.jsonl.1", "x.jsonl.2"]
    assert all(file.stat().st_size <= 1_000 for file in files)
    assert json.loads(path.read_text().splitlines()[-1]) == {"n": 499}


def test_a_full_disk_costs_records_and_nothing_else(flags, engine, tmp_path):
    function = launched(lambda: 1, lambda: 2, flags, record=tmp_path / "no" / "such" / "folder.jsonl")

    assert function() == 1
    assert one(function) == "mismatch"


def test_experiments_are_listed(flags, engine):
    function = launched(lambda: 1, lambda: 1, flags)

    assert function.dark_launch in experiments()


def test_a_verdict_counts_failures_and_timeouts_against_the_candidate(flags, engine):
    function = launched(lambda n: n, lambda n: fail(ValueError) if n % 10 == 0 else n, flags)
    for n in range(300):
        function(n)

    verdict = function.dark_launch.verdict(max_mismatch=0.01)
    assert (verdict.state, verdict.n) == (Safety.UNSAFE, 300)
    assert verdict.rate == pytest.approx(0.1)


def test_a_verdict_says_what_it_does_not_know(flags, engine):
    function = launched(lambda: object(), lambda: object(), flags, rules=[ignore("$.x")])
    function()

    assert any("could not be compared" in caveat for caveat in function.dark_launch.verdict().caveats)
    assert any("ignored by rule" in caveat for caveat in function.dark_launch.verdict().caveats)


def test_a_budget_admits_until_it_is_spent_and_refills():
    clock = ManualClock()
    budget = CpuBudget(clock.monotonic, share=0.05, burst=0.1)
    assert budget.allows()
    budget.spend(0.1)
    assert not budget.allows()
    clock.advance(30)
    assert budget.allows()
    clock.advance(1e9)
    budget.spend(0.02)
    assert not budget.allows()


def test_one_long_job_costs_more_than_many_short_ones_of_the_same_sum():
    """It makes everybody else wait for the interpreter; they do not."""
    long, short = CpuBudget(lambda: 0.0), CpuBudget(lambda: 0.0)
    long.spend(0.02)
    for _ in range(200):
        short.spend(0.0001)

    assert long._level < short._level
    assert long.spent == pytest.approx(short.spent)


def test_a_spent_budget_sheds(flags, monkeypatch):
    from progflags.darklaunch import Engine

    made = Engine()
    monkeypatch.setattr("progflags.darklaunch.lanes._engine._engine", made)
    made.cpu.spend(10)

    @dark_launch("on", candidate=lambda: 1, flags=flags)
    def control():
        return 1

    control()
    assert control.dark_launch.stats().shed == {"cpu": 1}


def test_the_breaker_opens_on_failures_and_closes_after_ten_good_probes():
    clock = ManualClock()
    breaker = Breaker(clock)
    assert [breaker.note(1) for _ in range(50)][-1]
    assert not breaker.allows()
    clock.advance(5)
    allowed = [breaker.allows() for _ in range(200)]
    assert sum(allowed) == 2
    assert not any(breaker.note(0) for _ in range(10))
    assert breaker.state == "closed"

    [breaker.note(10) for _ in range(5)]
    assert breaker.state == "open"


def test_mismatches_never_open_the_breaker(flags, engine):
    function = launched(lambda: 1, lambda: 2, flags)
    for _ in range(500):
        function()

    assert function.dark_launch.stats().breaker == "closed"
    assert function.dark_launch.stats().outcomes["mismatch"] == 500


def test_the_rate_halves_under_lasting_pressure_and_comes_back_slowly():
    clock = ManualClock()
    rate = Rate(clock)
    for _ in range(4):
        for _ in range(10):
            rate.note(shed=True)
        clock.advance(1)
    rate.note(shed=False)
    assert rate.value == 0.5
    clock.advance(121)
    rate.note(shed=False)
    assert rate.value == pytest.approx(0.7)
    for _ in range(20):
        rate.cut()
    assert rate.value == Rate.LEAST


def test_the_harm_monitor_finds_harm_and_no_harm_where_there_is_none():
    import random

    from progflags.darklaunch.lanes._harm import SLICE, HarmMonitor

    for cost, harmful in ((1.0, False), (1.5, True)):
        rng, now, spent = random.Random(3), [0.0], [0.0]
        monitor = HarmMonitor(lambda now=now: now[0], lambda spent=spent: spent[0], seed=3)
        said = False
        for _ in range(60_000):
            now[0] += SLICE / 20
            spent[0] += SLICE / 20 * 0.05
            quiet = monitor.pausing()
            monitor.note(rng.expovariate(1000) * (1.0 if quiet else cost))
            said = monitor.look() or said
        assert said is harmful, cost


def test_a_trivial_shadow_is_never_paused_for_measurement():
    from progflags.darklaunch.lanes._harm import HarmMonitor

    now = [0.0]
    monitor = HarmMonitor(lambda: now[0], lambda: 0.0, seed=1)
    for _ in range(1000):
        now[0] += 0.1
        assert not monitor.pausing()


@pytest.mark.parametrize(
    "wrong",
    [
        {"deadline": 0},
        {"executor": "magic"},
        {"sample": 2},
        {"isolate": "magic"},
        {"rules": ["$.a"]},
        {"candidate": 3},
        {"run_if": True},
        {"key": "user"},
        {"raise_on_mismatch": True, "executor": "thread"},
    ],
)
def test_what_cannot_be_right_is_refused_when_decorating(wrong, flags, engine):
    with pytest.raises((ValueError, TypeError)):
        dark_launch("on", **{"candidate": abs, "flags": flags, **wrong})(abs)
