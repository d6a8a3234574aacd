"""Old lines of a rollout's history in files: nothing is lost at any moment, and the chain holds over the cut."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from contextlib import closing
from pathlib import Path

import pytest

from progflags.cli._main import main
from progflags.errors import StoreError
from progflags.notify._telling import worth
from progflags.rollout import Archived, Hook, State, changes, lives_at
from progflags.rollout.run import ROLLOUT, Ledger, archive, archived
from progflags.store import Commit, MemoryStore, open_store
from progflags.testing import ManualClock
from rollout.conftest import FLAG, House
from rollout.places import KINDS, place

RUNS = 3
DAY = 86_400.0


def aged(store=None):
    """A house whose rollout was rolled back twice, months ago, and climbs for the third time."""
    clock = ManualClock(wall=1_700_000_000.0)
    house = House(store or MemoryStore(clock=clock), clock)
    for run in range(RUNS):
        house.rollouts.retry(FLAG, force=True) if run else house.rollouts.start(FLAG)
        house.run(20)
        if run < RUNS - 1:
            house.rollouts.rollback(FLAG, reason=f"the {run + 1}. time")
            house.clock.advance("100d")
    return house


def numbers(steps):
    return [step.revision for step in steps]


def test_what_is_over_goes_and_the_present_run_stays(tmp_path):
    """Numbers go on, the cut is a line of its own, and both halves are whole: alone, and together."""
    house = aged()
    before = house.rollouts.history(FLAG)
    done = house.rollouts.archive(FLAG, tmp_path, by="ann")
    left = house.rollouts.history(FLAG)

    assert (done.first, left[0].revision) == (1, done.last + 1)
    assert left[:-1] == before[done.last :]
    assert left[-1].reason == f"lines 1 to {done.last} of its history were archived"
    assert [line["number"] for line in archived(tmp_path, FLAG)] == list(range(1, done.last + 1))
    assert house.rollouts.verify(FLAG) == house.rollouts.verify(FLAG, archive=tmp_path) == ()
    assert house.status().state is State.BAKING
    assert house.rollouts.archive(FLAG, tmp_path).file is None


def test_the_rollout_goes_on_and_its_archive_grows(tmp_path):
    """A second cut takes the line of the first along."""
    house = aged()
    first = house.rollouts.archive(FLAG, tmp_path)
    house.rollouts.rollback(FLAG, reason="again")
    house.clock.advance("100d")
    house.rollouts.retry(FLAG, force=True)
    second = house.rollouts.archive(FLAG, tmp_path)

    assert second.first == first.last + 1
    assert house.rollouts.verify(FLAG) == house.rollouts.verify(FLAG, archive=tmp_path) == ()
    assert len(archived(tmp_path, FLAG)) == second.last


def test_what_a_channel_is_still_to_be_told_stays(tmp_path):
    """It is told from the store, once it answers again: nothing before that is cut, and it says whom it waits for."""
    clock = ManualClock(wall=1_700_000_000.0)
    house = House(MemoryStore(clock=clock), clock)
    told, away = [], [False]

    def tell(line):
        if away[0]:
            raise OSError("away")
        told.append(int(line["id"].rpartition("#")[2]))

    house.rollouts.notify(Hook("audit", tell))
    house.rollouts.deliver()
    for run in range(RUNS):
        house.rollouts.retry(FLAG, force=True) if run else house.rollouts.start(FLAG)
        house.run(20)
        house.rollouts.deliver()
        away[0] = True
        if run < RUNS - 1:
            house.rollouts.rollback(FLAG)
            house.clock.advance("100d")
    had = len(told)
    done = house.rollouts.archive(FLAG, tmp_path)
    assert (done.last, done.untold) == (had, ("audit",))
    assert house.rollouts.archive(FLAG, tmp_path) == Archived(FLAG, untold=("audit",))
    away[0] = False
    house.clock.advance("2m")
    while house.rollouts.deliver():
        pass
    assert told == list(range(1, len(told) + 1))
    assert len(told) > had
    assert house.rollouts.archive(FLAG, tmp_path).untold == ()
    assert house.rollouts.verify(FLAG, archive=tmp_path) == ()


def test_a_channel_that_nobody_serves_any_more_holds_nothing_up_for_who_says_so(tmp_path):
    house = aged()
    house.store.commit(Commit({"outbox/notify/gone": {"v": 1, "worker": "w", "places": {}, "others": {}}}))
    assert house.rollouts.archive(FLAG, tmp_path) == Archived(FLAG, untold=("notify/gone",))
    assert house.rollouts.archive(FLAG, tmp_path, untold=True).last > 0


def test_what_is_young_stays(tmp_path):
    house = aged()
    everything = house.rollouts.history(FLAG)
    assert house.rollouts.archive(FLAG, tmp_path, older=365 * DAY).file is None
    assert house.rollouts.history(FLAG) == everything


def test_who_cuts_without_saying_so_is_found_out():
    """That the beginning is missing has to be a link of the chain."""
    house = aged()
    house.store.trim(ROLLOUT + FLAG, 4)
    assert house.rollouts.verify(FLAG) == ("rollout history: it begins at line 5, and no line says that those before it were archived",)


def test_an_edited_archive_is_found_out(tmp_path):
    house = aged()
    file = house.rollouts.archive(FLAG, tmp_path).file
    file.write_text(file.read_text().replace("the 1. time", "no time"))
    with pytest.raises(ValueError, match="is no archive of ours: it does not match its checksum"):
        house.rollouts.verify(FLAG, archive=tmp_path)
    file.unlink()
    assert house.rollouts.verify(FLAG, archive=tmp_path) == ()  # the store's own lines are whole


class Keeping:
    """Somebody's store, of the contract and no more."""

    url = "mine://here"

    def __init__(self, inner):
        for name in ("board", "revision", "read", "commit", "wait", "history", "close"):
            setattr(self, name, getattr(inner, name))


def test_a_store_that_forgets_nothing_is_refused_before_anything_is_written(tmp_path):
    house = aged(Keeping(MemoryStore()))
    with pytest.raises(StoreError, match=r"mine://here forgets nothing: give it the `trim` of progflags\.store\.Trimming"):
        house.rollouts.archive(FLAG, tmp_path / "files")
    assert not (tmp_path / "files").exists()


def test_the_past_that_is_archived_is_not_made_up(tmp_path):
    """What was served then is in the files, and nobody says it was nothing."""
    house = aged()
    at = house.clock.now() - 150 * DAY
    assert lives_at(house.store, [FLAG], at)[FLAG].run == 1
    house.rollouts.archive(FLAG, tmp_path)
    with pytest.raises(StoreError, match="was archived"):
        lives_at(house.store, [FLAG], at)


def test_the_changes_that_are_left_are_told(tmp_path):
    house = aged()
    house.rollouts.archive(FLAG, tmp_path)
    told = changes(house.store, FLAG, None, 1000)
    assert told[0].reason.endswith("were archived")
    assert not any("the 1. time" in change.reason for change in told)


def test_nobody_gets_a_message_about_it():
    """The rollout stands where it stood."""
    line = {"kind": "transition", "to": "completed", "act": "advance"}
    assert worth(line)
    assert not worth({**line, "act": "archive"})


class Struck:
    """A store whose process is killed at its n-th call: before it, or once it is done."""

    def __init__(self, inner, at, *, after):
        self._inner, self._at, self._after, self._calls = inner, at, after, 0

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        return self._struck(found) if name in ("read", "commit", "history", "trim") else found

    def _struck(self, act):
        def call(*arguments, **options):
            self._calls += 1
            if self._calls == self._at and not self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = act(*arguments, **options)
            if self._calls == self._at:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call


def struck(address, folder, at, *, after):
    """Archive in a child that is killed at a call; whether it was."""
    child = os.fork()
    if not child:
        clock = ManualClock(wall=1_900_000_000.0)
        try:
            archive(Ledger(Struck(open_store(address), at, after=after), clock), FLAG, folder, until=clock.now(), actor="ann")
        finally:
            os._exit(os.EX_OK if sys.exc_info()[0] is None else os.EX_SOFTWARE)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_moment_nothing_is_lost(kind, tmp_path):
    """kill -9 at each call of the store, before and after it: files and store together have every line, and the next one finishes."""
    folder = tmp_path / "files"
    folder.mkdir()
    with place(kind, tmp_path) as address, closing(open_store(address)) as store:
        house = aged(store)
        whole = set(numbers(house.rollouts.history(FLAG)))
        for at, after in itertools.product(range(1, 100), (False, True)):
            died = struck(address, folder, at, after=after)
            assert {line["number"] for line in archived(folder, FLAG)} | set(numbers(house.rollouts.history(FLAG))) >= whole
            assert house.rollouts.verify(FLAG) == house.rollouts.verify(FLAG, archive=folder) == ()
            if not died:
                break
        left = house.rollouts.history(FLAG)
        assert len(left) < len(whole)
        assert sum(step.reason.endswith("were archived") for step in left) == 1


def test_the_command(tmp_path, capsys):
    address, folder = f"sqlite:///{tmp_path / 'state.db'}", str(tmp_path / "files")
    with closing(open_store(address)) as store:
        aged(store)
    assert main(["log", "archive", FLAG, "--store", address]) == 2
    assert "--to FOLDER" in capsys.readouterr().err
    (tmp_path / "flags.json").write_text(json.dumps({"flags": {FLAG: {}}}))
    known = ["--store", address, "--flags", str(tmp_path / "flags.json")]
    assert main(["log", "archive", FLAG, "--to", folder, "--older", "0.001s", *known, "--by", "ann", "--json"]) == 0
    assert Path(json.loads(capsys.readouterr().out)["file"]).parent == Path(folder)
    assert main(["log", "archive", FLAG, "--to", folder, *known]) == 0
    assert "nothing of its history is old enough" in capsys.readouterr().out
    assert main(["log", FLAG, *known]) == 0
    assert "were archived" in capsys.readouterr().out
    assert main(["rollout", "verify", FLAG, *known, "--archive", folder]) == 0
