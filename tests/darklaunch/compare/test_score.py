"""Graded comparison: how close two answers are, what the mean score proves, and several candidates side by side."""

from __future__ import annotations

import json
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

import progflags as pf
from progflags.darklaunch import dark_launch
from progflags.darklaunch.compare import Mean, Scores
from progflags.events import Compared
from support.sizes import size

LISTS = st.lists(st.integers(0, 8), max_size=8)
SCORES = {
    "overlap": pf.score.overlap(5),
    "ndcg": pf.score.ndcg(5),
    "jaccard": pf.score.jaccard(),
}


@pytest.mark.parametrize(
    ("score", "control", "candidate", "expected"),
    [
        (pf.score.overlap(3), ["a", "b", "c", "d"], ["c", "b", "a", "x"], 1.0),
        (pf.score.overlap(3), ["a", "b", "c"], ["a", "x", "y"], 1 / 3),
        (pf.score.overlap(3), [], [], 1.0),
        (pf.score.overlap(3), [], ["a"], 0.0),
        (pf.score.overlap(2, key="id"), [{"id": 1, "s": 0.1}, {"id": 2}], [{"id": 1, "s": 0.2}, {"id": 3}], 0.5),
        (pf.score.overlap(2), [{"id": [1]}], [{"id": [1]}], 1.0),
        (pf.score.ndcg(3), ["a", "b", "c"], ["a", "b", "c"], 1.0),
        (pf.score.ndcg(3), ["a", "b", "c"], ["x", "y"], 0.0),
        # gains 3, 2, 1 over log2(2), log2(3), log2(4): 2 + 3/1.585 + 0.5 over 3 + 2/1.585 + 0.5
        (pf.score.ndcg(3), ["a", "b", "c"], ["b", "a", "c"], (2 + 3 / math.log2(3) + 0.5) / (3 + 2 / math.log2(3) + 0.5)),
        (pf.score.ndcg(3), ["a", "b"], ["a", "a", "a"], 3 / (3 + 2 / math.log2(3))),  # a result listed again is worth nothing more
        (pf.score.jaccard(), [1, 2, 2], [2, 3], 1 / 3),
        (pf.score.jaccard(), {"a": 1, "b": 2}, {"a": 1, "b": 3}, 1 / 3),
        (pf.score.jaccard(), [], [], 1.0),
        (pf.score.relative_error(), 100, 99, 0.99),
        (pf.score.relative_error(), 1, -1, 0.0),
        (pf.score.relative_error(), 0, 0.0, 1.0),
        (pf.score.relative_error(), math.nan, math.nan, 1.0),
        (pf.score.relative_error(), math.inf, 1, 0.0),
        (pf.score.text_similarity(), "The quick  fox", "the quick fox", 1.0),
        (pf.score.text_similarity(), "a b c d", "a b x d", 0.75),
        (pf.score.text_similarity(), "a b", "c d", 0.0),
        (pf.score.text_similarity(), "", "", 1.0),
        (pf.score.text_similarity(), "w " * 3000, "w " * 3000 + "x", 6000 / 6001),
    ],
)
def test_how_close_two_answers_are(score, control, candidate, expected):
    assert score(control, candidate) == pytest.approx(expected)


@pytest.mark.parametrize("name", SCORES)
@given(LISTS, LISTS)
def test_a_score_lies_between_nothing_and_the_same(name, control, candidate):
    assert 0.0 <= SCORES[name](control, candidate) <= 1.0
    assert SCORES[name](control, list(control)) == pytest.approx(1.0) or len(set(control)) < len(control)


@pytest.mark.parametrize("made", [pf.score.overlap, pf.score.ndcg])
@pytest.mark.parametrize("k", [0, -1, True, 1.5, "3"])
def test_the_number_of_results_is_checked(made, k):
    with pytest.raises(ValueError, match="positive whole number"):
        made(k)


# What the mean score proves.


@pytest.mark.sized
@pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (lambda rng: float(rng.random() < 0.9), 0.9),
        (lambda rng: rng.betavariate(9, 1), 0.9),
        (lambda rng: 0.5, 0.5),
        (lambda rng: rng.gauss(3.0, 2.0), 3.0),
        (lambda rng: rng.expovariate(0.1), 10.0),
    ],
)
def test_however_often_one_looks_the_true_mean_is_left_out_in_at_most_one_run_in_twenty(draw, mean):
    """Looked at after every single score; the share of runs that ever exclude it, with three standard errors of room."""
    runs, missed = size(150, full=2_000), 0
    for seed in range(runs):
        rng, scores = random.Random(seed), Scores()
        for _ in range(400):
            scores.add(draw(rng), dict)
            low, high = scores.interval(0.95)
            if not low - 1e-12 <= mean <= high + 1e-12:
                missed += 1
                break

    assert missed / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(("draw", "mean"), [(lambda rng: rng.betavariate(9, 1), 0.9), (lambda rng: float(rng.random() < 0.97), 0.97)])
def test_however_often_one_looks_at_four_workers_together_the_true_mean_is_left_out_in_at_most_one_run_in_twenty(draw, mean):
    runs, missed = size(60, full=2_000), 0
    for seed in range(runs):
        rng, workers = random.Random(seed), [Mean() for _ in range(4)]
        for n in range(400):
            workers[int(4 * rng.random() ** 2)].add(draw(rng))  # some see more than others
            if n % 7 == 0:
                low, high = fleet(workers).interval(0.95)
                if not low - 1e-12 <= mean <= high + 1e-12:
                    missed += 1
                    break
    assert missed / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def fleet(workers):
    whole = Mean()
    for worker in workers:
        whole.merge(Mean.from_json(json.loads(json.dumps(worker.to_json()))))
    return whole


def test_workers_together_know_nearly_what_one_would_that_saw_everything():
    rng = random.Random(7)
    values = [rng.betavariate(18, 2) for _ in range(2_000)]
    one, workers = Mean(), [Mean() for _ in range(4)]
    for at, value in enumerate(values):
        one.add(value)
        workers[at % 4].add(value)
    whole = fleet(workers)
    assert (whole.n, whole.mean) == (2_000, pytest.approx(one.mean))
    assert whole.square == pytest.approx(one.square)
    alone, together = (high - low for low, high in (one.interval(0.95), whole.interval(0.95)))
    assert alone * 0.8 < together < alone * 1.5


def test_one_worker_outside_the_range_makes_it_unknown_for_all():
    workers = [Mean() for _ in range(2)]
    for n in range(400):
        workers[0].add(n % 2)
        workers[1].add(4 + n % 2)
    low, high = fleet(workers).interval(0.95)
    assert 1 < low < 2.5 < high


@pytest.mark.parametrize("odd", [{}, {"n": math.nan}, {"n": -1}, {"mean": math.inf}, {"staked": None}])
def test_sums_that_are_none_are_refused(odd):
    with pytest.raises((ValueError, KeyError, TypeError)):
        Mean.from_json({**Mean().to_json(), **odd} if odd else {})


def test_the_interval_narrows_and_holds_the_mean():
    rng, scores = random.Random(7), Scores()
    values = [rng.betavariate(18, 2) for _ in range(4_000)]
    widths = []
    for value in values:
        scores.add(value, dict)
        low, high = scores.interval(0.95)
        widths.append(high - low)

    assert scores.mean == pytest.approx(statistics.fmean(values))
    assert widths[-1] < 0.02 < widths[100]
    assert low <= 0.9 <= high


def test_one_score_outside_makes_the_range_unknown_until_there_are_many():
    scores = Scores()
    for _ in range(30):
        assert scores.interval(0.95) == (-math.inf, math.inf)
        scores.add(0.5, dict)
    assert scores.interval(0.95)[1] <= 1.0
    scores.add(12.0, dict)
    for _ in range(400):
        scores.add(7.0, dict)
        scores.add(5.0, dict)
    low, high = scores.interval(0.95)
    assert scores.interval(0.95)[0] <= scores.mean <= high
    assert 5 < low < high < 7


# In a dark launch.


def searched(ids):
    return [{"id": each, "rank": rank} for rank, each in enumerate(ids)]


@pytest.fixture
def search(flags, engine):
    def make(candidate, **options):
        options = {"score": pf.score.overlap(10, key="id"), "executor": "inline"} | options

        @dark_launch("on", candidate=candidate, flags=flags, **options)
        def control(n=0):
            return searched(range(10))

        return control

    return make


def asked(function, times):
    for n in range(times):
        function(n)
    return function.dark_launch


def test_results_in_another_order_are_safe_by_their_score_and_unsafe_by_equality(search):
    launch = asked(search(lambda n=0: searched(reversed(range(10)))), 4_000)

    assert launch.verdict().state == "UNSAFE"
    verdict = launch.verdict(min_score=0.95)
    assert verdict.state == "SAFE"
    assert (verdict.score, verdict.rate) == (1.0, 0.0)
    assert verdict.score_interval[0] >= 0.95
    assert str(verdict).startswith("SAFE: the mean score is 1 (between 0.9")


def test_a_score_that_is_high_enough_says_what_is_still_waited_for(search):
    """That calls don't fail takes more of them than the score does; nothing said so."""
    verdict = asked(search(lambda n=0: searched(range(10))), 300).verdict(min_score=0.5)

    assert verdict.state == "UNDECIDED"
    assert verdict.score_interval[0] > 0.5
    assert str(verdict).endswith(f"; {verdict.needed} more calls without a failure needed")


def test_a_margin_is_room_below_the_score_that_is_asked_for(search):
    launch = asked(search(lambda n=0: searched([*range(9), 99])), 4_000)  # one of ten differs: 0.9

    assert launch.verdict(min_score=0.95).state == "UNSAFE"
    assert launch.verdict(min_score=0.95, margin=0.1).state == "SAFE"


def test_a_candidate_that_fails_is_not_saved_by_the_answers_it_gives(search):
    def candidate(n=0):
        if n % 2:
            raise ValueError
        return searched(range(10))

    verdict = asked(search(candidate), 400).verdict(min_score=0.9)

    assert verdict.state == "UNSAFE"
    assert "50.0000% of 400 calls failed" in str(verdict)


def test_a_score_that_fails_is_no_score_and_nobody_is_hurt(search):
    answers = iter([float("nan"), "no number", None, 0.5])
    launch = asked(search(lambda n=0: searched(range(9)), score=lambda a, b: next(answers)), 4)

    verdict = launch.verdict(min_score=0.1)
    assert (verdict.score, verdict.state) == (0.5, "UNDECIDED")
    assert launch.stats().outcomes["mismatch"] == 4


def test_what_a_score_edits_is_not_the_callers(search):
    def score(a, b):
        a.clear()
        return 1.0

    function = search(lambda n=0: searched(range(10)), score=score)
    assert function() == searched(range(10))


def test_the_worst_examples_are_in_the_report_and_redacted(search):
    def candidate(n=0):
        return searched(range(n % 11))

    report = asked(search(candidate), 110).report()

    scores = report["scores"]
    assert scores["n"] == 110
    assert [round(example["score"], 6) for example in scores["worst"]] == [0.0] * 5
    assert "rank" not in json.dumps(scores["worst"])  # types and lengths, never values


def test_scores_are_told(search, flags):
    told = []
    flags.bus.listen(Compared, told.append)
    asked(search(lambda n=0: searched(range(5))), 2)

    assert [event.score for event in told] == [0.5, 0.5]


def test_a_minimum_without_a_score_is_refused_by_name(flags, engine):
    launched = dark_launch("on", candidate=abs, flags=flags)(lambda n: n)

    with pytest.raises(ValueError, match="score="):
        launched.dark_launch.verdict(min_score=0.9)
    with pytest.raises(TypeError, match="score is a function"):
        dark_launch("on", candidate=abs, score=0.9)


# Several candidates.


@pytest.fixture
def compared(flags, engine):
    def make(per_call="one", **options):
        options = {"executor": "inline"} | options
        candidates = {"same": lambda n: n, "twice": lambda n: 2 * n, "double": lambda n: n + n}

        @dark_launch("on", candidates=candidates, per_call=per_call, flags=flags, **options)
        def control(n):
            return n

        return control

    return make


def test_a_call_runs_one_of_several_and_each_has_its_own_verdict(compared):
    launch = asked(compared(), 6_000)
    ran = {name: launch.stats(name).outcomes["match"] + launch.stats(name).outcomes["mismatch"] for name in ("same", "twice", "double")}

    assert sum(ran.values()) == launch.stats().calls == sum(launch.stats().outcomes.values()) == 6_000
    assert all(1_600 < count < 2_400 for count in ran.values()), ran
    assert launch.verdict(0.01, candidate="same").state == "SAFE"
    assert launch.verdict(candidate="twice").state == "UNSAFE"
    assert launch.stats().mismatches["$"] == launch.stats("twice").mismatches["$"] + launch.stats("double").mismatches["$"]
    assert set(launch.differing()) == {("control", "same"), ("control", "twice"), ("control", "double")}


def test_where_a_call_runs_all_it_is_seen_who_differs_from_whom(compared):
    launch = asked(compared("all"), 20)  # 0 doubled is 0

    assert launch.differing() == {
        ("control", "same"): (0, 20),
        ("control", "twice"): (19, 20),
        ("control", "double"): (19, 20),
        ("double", "same"): (19, 20),
        ("double", "twice"): (0, 20),
        ("same", "twice"): (19, 20),
    }
    assert {"between": ["double", "twice"], "differ": 0, "n": 20} in launch.report()["differing"]
    json.dumps(launch.report())


async def test_several_coroutines(flags, engine):
    async def right(n):
        return n

    async def wrong(n):
        return -n

    @dark_launch("on", candidates={"right": right, "wrong": wrong}, per_call="all", flags=flags)
    async def control(n):
        return n

    for n in range(1, 9):
        assert await control(n) == n
    assert await control.dark_launch.adrain(60)

    assert control.dark_launch.pending == 0
    assert control.dark_launch.differing() == {("control", "right"): (0, 8), ("control", "wrong"): (8, 8), ("right", "wrong"): (8, 8)}


def test_several_candidates_of_a_method_and_of_a_generator(flags, engine):
    class Shop:
        @dark_launch("on", candidates={"v2": "other", "v3": lambda self: 3}, flags=flags, executor="inline", per_call="all")
        def price(self):
            return 3

        def other(self):
            return 2

    @dark_launch("on", candidates={"v2": lambda: iter([1, 2])}, flags=flags, executor="inline")
    def control():
        yield from (1, 2)

    assert Shop().price() == 3
    assert Shop.price.dark_launch.differing() == {("control", "v2"): (1, 1), ("control", "v3"): (0, 1), ("v2", "v3"): (1, 1)}
    assert list(control()) == [1, 2]
    assert control.dark_launch.stats("v2").outcomes["match"] == 1


def test_records_and_events_name_the_candidate(compared, flags, tmp_path):
    told = []
    flags.bus.listen(Compared, told.append)
    asked(compared("all", record=tmp_path / "told.jsonl"), 2)

    assert {event.candidate_name for event in told} == {"same", "twice", "double"}
    rows = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert sorted(row["candidate"] for row in rows) == ["double", "twice"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, TypeError, "one candidate="),
        ({"candidate": abs, "candidates": {"a": abs}}, TypeError, "one candidate="),
        ({"candidates": {}}, TypeError, "one candidate="),
        ({"candidates": {"a": 1}}, TypeError, "not 1"),
        ({"candidates": {"control": abs}}, ValueError, "names of their own"),
        ({"candidates": {"": abs}}, ValueError, "names of their own"),
        ({"candidates": {"a": abs}, "per_call": "both"}, ValueError, "per_call"),
    ],
)
def test_candidates_are_checked_when_the_function_is_decorated(options, error, words):
    with pytest.raises(error, match=words):
        dark_launch("on", **options)


def test_one_that_is_not_there_is_named_with_those_that_are(compared, search):
    with pytest.raises(LookupError, match="same, twice, double, not 'v9'"):
        compared().dark_launch.stats("v9")
    with pytest.raises(LookupError, match="which candidate"):
        compared().dark_launch.verdict()
    with pytest.raises(LookupError, match="'v9'"):
        search(lambda n=0: n).dark_launch.verdict(candidate="v9")
