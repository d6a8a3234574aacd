"""The persisted last known good: it serves a cold start, is never trusted blindly, and is not replaced by what has not served."""

import json
import os
import stat
import sys

import pytest

from progflags._json import canonical, digest
from progflags.errors import DefinitionError
from progflags.sources import FileSource, Generations, Layered, Loader, source_of
from progflags.sources._generations import KEPT
from progflags.sources._loader import SERVED_FOR
from progflags.testing import ManualClock


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "flags.toml"
    write(path, 10)
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def clock():
    return ManualClock(wall=1.8e9)


def write(path, percent, more=""):
    path.write_text(f"{more}[flags.a]\npercent = {percent}\n[flags.b]\npercent = {percent}\n")


def loader(path, folder, clock):
    return Loader(FileSource(path, pause=lambda seconds: None), keep=Generations(folder), clock=clock)


def share(snapshot, key="a"):
    return snapshot.flags[key].rules[-1].share


def serve(path, folder, clock, *percents):
    """A program that served each of these for a while."""
    running = loader(path, folder, clock)
    for percent in percents:
        write(path, percent)
        running.load()
        clock.advance(SERVED_FOR)
        running.load()


@pytest.mark.parametrize("bad", [None, "", "[[[", "[flags.a]\npercent = 10\n"], ids=["gone", "empty", "torn", "cut off"])
def test_a_cold_start_with_a_bad_file_serves_what_was_kept(path, folder, clock, bad):
    """Stale, with the problems and the time it was kept at; right as soon as the file is."""
    serve(path, folder, clock, 10)
    path.unlink() if bad is None else path.write_text(bad)
    clock.advance("1h")
    running = loader(path, folder, clock)
    loaded = running.load()

    assert share(loaded.snapshot) == 100_000
    assert loaded.stale
    assert loaded.problems
    assert loaded.saved_at == 1.8e9
    again = running.load()
    assert (again.snapshot, again.stale, again.saved_at) == (None, True, 1.8e9)

    write(path, 30)
    back = running.load()
    assert share(back.snapshot) == 300_000
    assert not back.stale
    assert back.saved_at is None


def test_first_serves_what_was_kept_too(path, folder, clock):
    """What `connect` calls."""
    serve(path, folder, clock, 10)
    path.unlink()
    assert share(loader(path, folder, clock).first()) == 100_000


def test_without_anything_kept_a_bad_file_is_an_error(path, folder, clock):
    """There is nothing to serve."""
    path.write_text("[[[")
    with pytest.raises(DefinitionError):
        loader(path, folder, clock).first()
    assert not folder.exists()


def test_the_first_is_kept_at_once_later_ones_when_they_have_served(path, folder, clock):
    """A document that brings the program down within seconds does not become its last known good."""
    running = loader(path, folder, clock)
    running.load()
    assert len(list(folder.iterdir())) == 1
    write(path, 20)
    running.load()
    clock.advance(SERVED_FOR - 0.1)
    running.load()
    assert len(list(folder.iterdir())) == 1
    clock.advance(0.1)
    running.load()
    running.load()
    assert len(list(folder.iterdir())) == 2


def test_several_are_kept_and_the_oldest_goes(path, folder, clock):
    """The newest is what a cold start serves."""
    serve(path, folder, clock, *range(10, 22))
    path.unlink()

    assert len(list(folder.iterdir())) == KEPT
    assert share(loader(path, folder, clock).first()) == 210_000


def test_a_torn_one_is_passed_over_for_the_one_before(path, folder, clock, caplog):
    """With a message that names it."""
    serve(path, folder, clock, 10, 20)
    path.unlink()
    newest = sorted(folder.iterdir())[-1]
    newest.write_text(newest.read_text()[:-30])

    assert share(loader(path, folder, clock).first()) == 100_000
    assert str(newest) in caplog.text


@pytest.mark.parametrize(
    "tamper",
    [
        lambda text: text.replace("percent = 10", "percent = 99"),
        lambda text: text.replace('"v":1', '"v":2'),
        lambda text: "null",
        lambda text: "[]",
        lambda text: "{}",
        lambda text: '{"body": 3, "sha256": "x"}',
        lambda text: "NaN",
        lambda text: "",
        lambda text: "[" * 100_000,
        lambda text: "\x80\x04",
    ],
)
def test_a_tampered_one_never_serves(path, folder, clock, tamper):
    """Checked before it is believed; and nothing but JSON is ever read."""
    serve(path, folder, clock, 10)
    (only,) = folder.iterdir()
    only.write_text(tamper(only.read_text()))
    path.unlink()
    with pytest.raises(DefinitionError, match="can't be read"):
        loader(path, folder, clock).first()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_only_the_owner_reads_them(path, folder, clock):
    """Whatever the umask."""
    before = os.umask(0)
    try:
        serve(path, folder, clock, 10)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_they_are_plain_json(path, folder, clock):
    """A person can read one, and nothing in it can run."""
    serve(path, folder, clock, 10)
    (only,) = folder.iterdir()
    kept = json.loads(only.read_text())["body"]
    assert kept["pieces"] == [{"file": str(path), "form": "toml", "layer": 0, "text": path.read_text()}]


def test_a_restart_is_guarded_by_what_was_kept(path, folder, clock):
    """A file cut off while the program was down is held back as it would have been while it ran."""
    serve(path, folder, clock, 10)
    path.write_text("[flags.a]\npercent = 10\n")
    loaded = loader(path, folder, clock).load()
    assert set(loaded.snapshot.flags) == {"a", "b"}
    assert "cut off" in str(loaded.problems[0])


def test_a_flag_broken_when_kept_has_its_definition_from_the_generation_before(path, folder, clock):
    """Per-flag last known good survives a restart."""
    serve(path, folder, clock, 10)
    running = loader(path, folder, clock)
    running.load()
    path.write_text("[flags.a]\npercnt = 77\n[flags.b]\npercent = 20\n")
    running.load()
    clock.advance(SERVED_FOR)
    running.load()

    snapshot = loader(path, folder, clock).first()
    assert (share(snapshot, "a"), share(snapshot, "b")) == (100_000, 200_000)
    assert len(snapshot.rejected) == 1
    path.unlink()
    snapshot = loader(path, folder, clock).first()
    assert (share(snapshot, "a"), share(snapshot, "b")) == (100_000, 200_000)


def test_a_tombstone_survives_a_restart(path, folder, clock):
    """A retired key's type is remembered."""
    running = loader(path, folder, clock)
    running.load()
    path.write_text('retired = ["b"]\n[flags.a]\npercent = 10\n')
    running.load()
    clock.advance(SERVED_FOR)
    running.load()
    path.write_text('retired = ["b"]\n[flags.a]\npercent = 10\n[flags.b]\nvariants = { x = "1", y = "2" }\ndefault = "x"\n')

    snapshot = loader(path, folder, clock).first()
    assert "b" not in snapshot.flags
    assert "retired as a boolean" in str(snapshot.rejected[0])


def test_a_tombstone_outlives_every_generation_that_still_had_the_flag(path, folder, clock):
    """The type is written down; it goes when the key is not retired any more."""
    serve(path, folder, clock, 10)
    running = loader(path, folder, clock)
    for percent in range(20, 20 + 3 * KEPT):
        path.write_text(f'retired = ["b"]\n[flags.a]\npercent = {percent}\n')
        running.load()
        clock.advance(SERVED_FOR)
        running.load()
    assert all("flags.b" not in file.read_text() for file in folder.iterdir())
    back = f'[flags.a]\npercent = {percent}\n[flags.b]\nvariants = {{ x = "1", y = "2" }}\ndefault = "x"\n'
    path.write_text('retired = ["b"]\n' + back)
    snapshot = loader(path, folder, clock).first()
    assert "b" not in snapshot.flags
    assert "retired as a boolean" in str(snapshot.rejected[0])

    path.write_text(back)
    running = loader(path, folder, clock)
    assert running.first().flags["b"].type == "string"
    clock.advance(SERVED_FOR)
    running.load()
    path.write_text('retired = ["b"]\n' + back)
    assert loader(path, folder, clock).first().flags["b"].type == "string"


def test_one_kept_by_an_earlier_version_is_read(path, folder, clock):
    """It has no types of retired keys."""
    serve(path, folder, clock, 10)
    (only,) = folder.iterdir()
    body = json.loads(only.read_text())["body"]
    del body["types"]
    only.write_text(canonical({"sha256": digest(body), "body": body}))
    path.unlink()
    assert share(loader(path, folder, clock).first()) == 100_000


def test_several_workers_keep_one_generation_of_one_document(path, folder, clock):
    """Not four copies that push everything older out."""
    for _ in range(4):
        loader(path, folder, clock).load()
    assert len(list(folder.iterdir())) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
def test_a_folder_that_cannot_be_written_costs_a_message_only(path, tmp_path, clock, caplog):
    """A file stands where the folder should be: flags serve all the same."""
    (tmp_path / "kept").write_text("")
    running = loader(path, tmp_path / "kept", clock)
    assert share(running.first()) == 100_000
    assert "last known good in" in caplog.text


def test_a_dict_is_not_kept(folder, clock):
    """It is in the program."""
    Loader(source_of({"flags": {"a": {}}}), keep=Generations(folder), clock=clock).first()
    assert not folder.exists()


def test_layers_are_kept_as_layers(tmp_path, folder, clock):
    """Which wins is part of what served."""
    for name, percent in (("base", 10), ("top", 20)):
        (tmp_path / f"{name}.toml").write_text(f"[flags.a]\npercent = {percent}\n")

    def layered():
        files = [FileSource(tmp_path / f"{name}.toml", pause=lambda seconds: None) for name in ("base", "top")]
        return Loader(Layered(*files), keep=Generations(folder), clock=clock)

    layered().first()
    (tmp_path / "top.toml").unlink()
    assert share(layered().first()) == 200_000
