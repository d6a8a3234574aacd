"""A file as an external metric: fresh or no data, never half a number."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.rollout import MetricFile
from progflags.testing import ManualClock

from .conftest import FLAG, House, rollout_table

NOW = 1_800_000_000.0


@pytest.fixture
def clock():
    return ManualClock(wall=NOW)


def written(path, text, at=NOW):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    os.utime(path, (at, at))
    return path


FORMS = {
    "m.json": '{"open": 7, "closed": 2}',
    "list.json": '[{"open": 1}, {"open": 7}]',
    "m.jsonl": '{"open": 1}\n{"open": 7}\n',
    "m.ndjson": '{"open": 1}\n{"open": 7}',
    "m.csv": "closed,open\n2,1\n2,7\n",
    "windows.csv": "\ufeffopen,closed\r\n1,2\r\n7,2\r\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_the_last_number_counts(tmp_path, clock, name):
    assert MetricFile(written(tmp_path / name, FORMS[name]), "open", clock=clock)() == 7


def test_it_is_fresh_for_as_long_as_it_says_from_when_it_was_written(tmp_path, clock):
    path = written(tmp_path / "m.json", '{"open": 7}')
    metric = MetricFile(path, "open", max_age=60, clock=clock)
    assert metric() == 7
    clock.advance(60)
    assert metric() == 7
    clock.advance(1)
    assert metric() is None
    written(path, '{"open": 7}', at=clock.now())
    assert metric() == 7


@pytest.mark.parametrize("at", ["1800000000", '"2027-01-15T08:00:00Z"', '"2027-01-15T09:00:00+01:00"', '"2027-01-15 08:00:00"'])
def test_a_time_in_the_file_wins_over_the_files_own(tmp_path, clock, at):
    """A program that copies yesterday's numbers into a new file has not measured anything."""
    metric = MetricFile(written(tmp_path / "m.json", f'{{"open": 7, "at": {at}}}', at=NOW + 1000), "open", at="at", clock=clock)
    assert metric() == 7
    clock.advance(61)
    assert metric() is None


def test_a_time_far_ahead_or_missing_is_no_data(tmp_path, clock):
    assert MetricFile(written(tmp_path / "a.json", f'{{"open": 7, "at": {NOW + 3600}}}'), "open", at="at", clock=clock)() is None
    assert MetricFile(written(tmp_path / "b.json", '{"open": 7}'), "open", at="at", clock=clock)() is None


@pytest.mark.parametrize(
    ("row", "reading"),
    [
        ('{"failed": 3, "jobs": 12}', 0.25),
        ('{"jobs": 12}', 0.0),
        ('{"failed": null, "jobs": 12}', 0.0),
        ('{"failed": 3}', None),
        ('{"failed": 3, "jobs": null}', None),
        ('{"failed": 0, "jobs": 0}', None),
        ("{}", None),
    ],
)
def test_a_missing_numerator_is_zero_and_a_missing_denominator_no_data(tmp_path, clock, row, reading):
    assert MetricFile(written(tmp_path / "m.json", row), "failed", per="jobs", clock=clock)() == reading


def test_without_a_denominator_a_missing_value_is_no_data(tmp_path, clock):
    assert MetricFile(written(tmp_path / "m.csv", "open,closed\n,3\n"), "open", clock=clock)() is None


@pytest.mark.parametrize(("name", "before"), [("m.json", ""), ("m.jsonl", '{"n": 4711}\n'), ("m.csv", "m,n\n1,4711\n")])
@given(cut=st.integers(0, 40))
def test_a_torn_write_gives_the_reading_before_and_never_half_a_number(tmp_path_factory, name, before, cut):
    """Cut anywhere: 4711 until all of the new line is there, then 123456; a file of one object says nothing meanwhile."""
    clock, path = ManualClock(wall=NOW), tmp_path_factory.mktemp("torn") / name
    last = "1,123456\n" if name.endswith("csv") else '{"n": 123456}\n'
    metric = MetricFile(written(path, before or '{"n": 4711}'), "n", clock=clock)
    assert metric() == 4711
    written(path, before + last[:cut])
    said = metric()

    assert said in (4711, 123456)
    assert said == 123456 or cut < len(last)


def test_a_torn_file_is_stale_in_the_end(tmp_path, clock):
    path = written(tmp_path / "m.json", '{"n": 1}')
    metric = MetricFile(path, "n", clock=clock)
    assert metric() == 1
    clock.advance(120)
    written(path, '{"n"', at=clock.now())
    assert metric() is None


def test_a_long_file_is_read_from_its_end(tmp_path, clock):
    lines = "".join(f'{{"n": {n}}}\n' for n in range(20_000))
    assert MetricFile(written(tmp_path / "m.jsonl", lines), "n", clock=clock)() == 19_999
    rows = "n\n" + "".join(f"{n}\n" for n in range(20_000))
    assert MetricFile(written(tmp_path / "m.csv", rows), "n", clock=clock)() == 19_999


@pytest.mark.parametrize("text", ['{"n": true}', '{"n": "many"}', "7", '{"n": 1e999}'])
def test_what_is_no_number_is_said(tmp_path, clock, text):
    with pytest.raises(ValueError, match="no number|no finite|could not convert|object is wanted"):
        MetricFile(written(tmp_path / "m.json", text), "n", clock=clock)()


def test_what_cannot_be_a_source_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none of \.json"):
        MetricFile(tmp_path / "m.txt", "n")
    with pytest.raises(ValueError, match="which value"):
        MetricFile(tmp_path / "m.json", "")
    with pytest.raises(ValueError, match="max_age"):
        MetricFile(tmp_path / "m.json", "n", max_age=0)


def test_a_gate_reads_it_and_holds_without_it(tmp_path):
    """From the file to the verdict: over its bound it rolls back, absent it is no data and nothing is promoted."""
    gate = {"metric": "tickets", "kind": "gauge", "max": 10, "policy": "no_alarm"}
    house = House(tables={FLAG: rollout_table(stages=[{"percent": 10, "bake": "30s", "min_samples": 5, "gates": [gate]}])})
    path = tmp_path / "tickets.json"
    house.recorder.source("tickets", MetricFile(path, "open", clock=house.clock))
    house.rollouts.start(FLAG)
    house.run(60)
    assert (house.status().stage, house.status().verdict) == (0, "HOLD")

    for _ in range(12):
        written(path, '{"open": 900}', at=house.clock.now())
        house.run(5)
    assert house.status().state == "rolled_back"
