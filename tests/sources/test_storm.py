"""A storm of saves: the last one serves in the end, every answer belongs to some whole save, and the work is bounded."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

import progflags as pf
from progflags.context import Context
from progflags.sources import Refresher
from progflags.sources import _loader as loading
from progflags.testing import ManualClock
from support.sizes import size

FLAGS = 20
KEYS = [f"flag-{number}" for number in range(FLAGS)]


def document(save: int) -> bytes:
    """Every flag's every value names the save."""
    return "".join(f'[flags.{key}]\nvariants = {{ only = "{save}" }}\n' for key in KEYS).encode()


def torn(save: int) -> bytes:
    """Half of one: cut off, without an end, or no document at all."""
    whole = document(save)
    return [whole[: len(whole) // 2], whole + b"[flags", b""][save % 3]


def put(path: Path, text: bytes, *, aside: bool) -> None:
    if aside:
        path.with_suffix(".new").write_bytes(text)
        os.replace(path.with_suffix(".new"), path)
    else:
        path.write_bytes(text)


class Work:
    """How often a document was assembled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done = 0
        assemble = loading.assemble

        def counted(*given: Any) -> Any:
            self.done += 1
            return assemble(*given)

        monkeypatch.setattr(loading, "assemble", counted)


@pytest.mark.sized
def test_a_storm_looked_at_as_often_as_it_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand saves, a third of them torn, each seen: at most one parse per save, and no answer from a torn one."""
    saves = size(150, full=1000)
    path = tmp_path / "flags.toml"
    path.write_bytes(document(0))
    os.utime(path, (0, 0))
    work = Work(monkeypatch)
    with pf.connect(path, clock=ManualClock()) as flags:
        flags._definitions.loader.source._pause = lambda seconds: None  # type: ignore[attr-defined] - a fresh file is looked at twice; nobody writes meanwhile
        last_whole = 0
        for save in range(1, saves + 1):
            bad = save % 3 == 0
            put(path, torn(save) if bad else document(save), aside=save % 2 == 0)
            last_whole = last_whole if bad else save
            for _ in range(3):  # an unchanged file costs no parse, good or bad
                flags.refresh()
            with flags.snapshot() as view:
                assert {view.get(key, "none", "u") for key in KEYS} == {str(last_whole)}
            assert flags.status().state == ("STALE" if bad else "READY")
        put(path, document(saves + 1), aside=True)
        flags.refresh()
        assert {flags.get(key, "none", "u") for key in KEYS} == {str(saves + 1)}
        assert flags.status().state == "READY"
    assert work.done <= saves + 2


@pytest.mark.sized
def test_a_storm_beside_readers_and_the_background_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves as fast as the disk takes them, in place and by rename, while threads read: whole saves only, and the last one in the end."""
    saves = size(100, full=1000)
    path = tmp_path / "flags.toml"
    path.write_bytes(document(0))
    work = Work(monkeypatch)
    looks, wrong = [0], []
    served: set[str] = set()
    over, settled = threading.Event(), threading.Event()
    with pf.connect(path, poll=None) as flags:
        refresher = Refresher()

        def look() -> None:
            looks[0] += 1
            flags.refresh()
            if flags.get(KEYS[0], "none", "u") == str(saves):
                settled.set()

        def read() -> None:
            context = Context("u")
            try:
                while not over.is_set():
                    view = flags.snapshot()
                    answers = {view.get(key, "none", context) for key in KEYS}
                    if len(answers) != 1:
                        wrong.append(answers)
                    served.update(answers)
            except Exception as error:
                wrong.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for thread in readers:
            thread.start()
        refresher.every(0.005, look, name="source")
        refresher.start()
        try:
            for save in range(1, saves + 1):
                put(path, document(save), aside=save % 2 == 0)
            assert settled.wait(120), flags.status()
        finally:
            over.set()
            assert refresher.stop(60)
            for thread in readers:
                thread.join()
        assert wrong == []
        assert served <= {str(save) for save in range(saves + 1)}
        assert {flags.get(key, "none", "u") for key in KEYS} == {str(saves)}
        assert flags.status().state == "READY"
    assert work.done <= looks[0] + 1  # at most one parse per look, however often the file changed in between
