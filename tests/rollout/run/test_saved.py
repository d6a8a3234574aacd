"""The live state of the last look, on disk."""

from __future__ import annotations

import contextlib
import json

import pytest

from progflags.errors import StoreError
from progflags.rollout import State
from progflags.rollout.run._saved import Last, Saved
from rollout.conftest import FLAG, House

from .test_switches import PLAIN, fleet  # noqa: F401 - a fixture


class Blind(House):
    """A process that may find the store out of reach when it starts."""

    def refresh(self):
        with contextlib.suppress(StoreError):
            super().refresh()


def file(fleet, name="one"):  # noqa: F811
    (found,) = (fleet.folder / name).glob("live-*.json")
    return found


@pytest.fixture
def climbing(fleet):  # noqa: F811
    house = fleet.house()
    house.rollouts.start(FLAG)
    house.rollouts.kill(PLAIN, by="ann", reason="it burns")
    house.rollouts.tick()
    house.rollouts.panic(by="ann")
    return house


def test_it_has_shares_kills_and_where_a_rollout_stands(fleet, climbing):  # noqa: F811
    saved = Saved(fleet.folder / "one", fleet.store.url).read()

    assert saved.pages[FLAG].live.share == 500_000
    assert saved.pages[FLAG].record.state is State.RAMPING or saved.pages[FLAG].record.serving
    assert saved.pages[FLAG].record.plan == climbing.rollouts.plan(FLAG)
    assert saved.pages[PLAIN].live.killed.reason == "it burns"
    assert saved.panic.killed.by == "ann"
    assert saved.at == fleet.clock.now()
    assert file(fleet).stat().st_mode & 0o777 == 0o600


def test_it_is_written_when_something_changed_and_not_with_every_batch(fleet, climbing):  # noqa: F811
    before = 0
    for round_ in range(8):
        if round_ == 3:  # it bakes by now
            before = file(fleet).stat().st_mtime_ns
        climbing.traffic()
        climbing.clock.advance(10)
        climbing.rollouts.tick()
    assert file(fleet).stat().st_mtime_ns == before
    climbing.rollouts.unpanic()
    assert file(fleet).stat().st_mtime_ns > before


def test_a_process_that_sees_nothing_goes_on_from_it_and_still_brakes(fleet, climbing):  # noqa: F811
    climbing.rollouts.unpanic()
    fleet.cut = {"one"}
    house = fleet.house(kind=Blind)
    house.client.install(live=house.rollouts.last())
    assert 30 < house.exposed() < 70
    assert house.rollouts.status(FLAG).percent == 50
    for _ in range(25):
        house.recorder.record(FLAG, arm="candidate", seconds=0.1, error=True)
    assert house.exposed() == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("ann", "bob"),
        lambda text: '{"sha256": "", "body": []}',
        lambda text: json.dumps({**json.loads(text), "body": {**json.loads(text)["body"], "v": 2}}),
    ],
)
def test_one_that_is_torn_edited_or_newer_is_passed_over(fleet, climbing, spoil, caplog):  # noqa: F811
    path = file(fleet)
    path.write_text(spoil(path.read_text()))

    assert Saved(fleet.folder / "one", fleet.store.url).read() is None
    assert "passed over" in caplog.text


def test_of_another_store_it_says_nothing(fleet, climbing):  # noqa: F811
    assert Saved(fleet.folder / "one", "sqlite:///elsewhere.db").read() is None


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path, climbing):
    (tmp_path / "file").write_text("")
    saved = Saved(tmp_path / "file" / "folder", "a")
    saved.keep(Last(climbing.rollouts._parts.controller.pages, at=1.0))
    assert saved.read() is None
