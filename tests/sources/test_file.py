"""A flag file, however it is replaced: the new one serves at the next look, half of one never does."""

import os
import shutil
import stat
import sys
import threading

import pytest

from progflags.errors import DefinitionError
from progflags.sources import FileSource, Loader, Refresher
from progflags.sources import _read as reading
from support.documents import documents

OLD = b"[flags.a]\npercent = 10\n[flags.b]\npercent = 10\n"
NEW = b"[flags.a]\npercent = 20\n[flags.b]\npercent = 10\n"
needs_fifo = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "flags.toml"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def loader(path):
    loader = Loader(FileSource(path, pause=lambda seconds: None))
    loader.first()
    return loader


def share(snapshot, key="a"):
    return snapshot.flags[key].rules[-1].share


# Ways to put a new file in place of an old one.


def in_place(path):
    path.write_bytes(NEW)


def in_place_same_times(path):
    """What restores modification times: rsync, a backup, git-restore-mtime."""
    before = path.stat()
    path.write_bytes(NEW)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def older_time(path):
    path.write_bytes(NEW)
    os.utime(path, (0, 0))


def future_time(path):
    path.write_bytes(NEW)
    os.utime(path, (4e9, 4e9))


def atomic_rename(path):
    aside = path.with_suffix(".tmp")
    aside.write_bytes(NEW)
    os.replace(aside, path)


def editor_backup(path):
    """vim's way: the old one becomes a backup, a new one is written under the name."""
    os.rename(path, path.with_suffix(".toml~"))
    path.write_bytes(NEW)


def hard_link(path):
    aside = path.with_suffix(".other")
    aside.write_bytes(NEW)
    path.unlink()
    os.link(aside, path)


def to_symlink(path):
    aside = path.with_suffix(".target")
    aside.write_bytes(NEW)
    path.unlink()
    path.symlink_to(aside)


def truncate_and_append(path):
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(NEW[:20])
        file.flush()
        file.write(NEW[20:])


def deleted_and_back(path):
    path.unlink()
    path.write_bytes(NEW)


WAYS = [
    in_place, in_place_same_times, older_time, future_time, atomic_rename, editor_backup, hard_link, to_symlink, truncate_and_append,
    deleted_and_back,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_to_replace_a_file_is_seen_at_the_next_look(way, path, loader):
    """Twenty times there and back, whatever the modification times say."""
    for _ in range(20):
        way(path)
        loaded = loader.load()
        assert share(loaded.snapshot) == 200_000
        assert not loaded.stale
        path.unlink()
        path.write_bytes(OLD)
        assert share(loader.load().snapshot) == 100_000


def test_a_configmap_swap_is_seen(tmp_path):
    """A link to a link to a folder: the middle one is swapped by a rename."""
    for name, text in (("..1", OLD), ("..2", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flags.toml").write_bytes(text)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "flags.toml").symlink_to("..data/flags.toml")
    loader = Loader(FileSource(tmp_path / "flags.toml", pause=lambda seconds: None))
    assert share(loader.first()) == 100_000

    (tmp_path / "..data_tmp").symlink_to("..2")
    os.replace(tmp_path / "..data_tmp", tmp_path / "..data")
    assert share(loader.load().snapshot) == 200_000


def test_an_unchanged_file_costs_no_parsing(path, loader, monkeypatch):
    """Touched or not, the same bytes are the same file."""
    monkeypatch.setattr("progflags.sources._loader.assemble", None)
    for _ in range(3):
        os.utime(path)
        assert loader.load().snapshot is None


def test_a_bad_file_is_parsed_once(path, loader, monkeypatch):
    """Its problems stand until it is another one."""
    path.write_bytes(b"[flags.a\n")
    first = loader.load()
    monkeypatch.setattr("progflags.sources._loader.assemble", None)

    assert first.stale
    assert loader.load() == first


# Ways to take it away.


def delete(path):
    path.unlink()


def make_folder(path):
    path.unlink()
    path.mkdir()


def make_fifo(path):
    path.unlink()
    os.mkfifo(path)


def make_device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def make_dangling(path):
    path.unlink()
    path.symlink_to("nowhere")


def make_loop(path):
    path.unlink()
    path.symlink_to(path.name)


def make_empty(path):
    path.write_bytes(b"")


def make_binary(path):
    path.write_bytes(b"\x00\xff\xfe")


def make_huge(path):
    with path.open("wb") as file:
        file.truncate(100 * 2**20)


AWAY = [delete, make_folder, make_fifo, make_device, make_dangling, make_loop, make_empty, make_binary, make_huge]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
@pytest.mark.parametrize("way", AWAY, ids=lambda way: way.__name__)
def test_a_file_that_went_away_leaves_the_last_good_one_and_comes_back(way, path, loader):
    """Stale with the file's name, without hanging; right again at the first look after it is back."""
    way(path)
    looks = []
    looking = threading.Thread(target=lambda: looks.append(loader.load()), daemon=True)
    looking.start()
    looking.join(60)

    assert not looking.is_alive()
    (gone,) = looks
    assert gone.stale
    assert gone.snapshot is None
    assert {problem.file for problem in gone.problems} == {str(path)}
    assert loader.load() == gone

    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_bytes(NEW)
    back = loader.load()
    assert not back.stale
    assert share(back.snapshot) == 200_000


def test_the_same_file_back_again_is_simply_good_again(path, loader):
    """Deletion and return of what serves: nothing to install, nothing stale."""
    path.unlink()
    assert loader.load().stale
    path.write_bytes(OLD)

    back = loader.load()
    assert not back.stale
    assert back.snapshot is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_permission_lost_says_what_to_do(path, loader):
    """The remedy is in the hint."""
    path.chmod(0)
    assert "let this user read it" in str(loader.load().problems[0])


@needs_fifo
def test_a_fifo_with_a_writer_is_not_read_either(path, loader):
    """Nothing is taken out of it."""
    path.unlink()
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    os.write(writer, NEW)

    assert "a FIFO" in str(loader.load().problems[0])
    assert os.read(reader, 100) == NEW
    os.close(reader)
    os.close(writer)


@needs_fifo
def test_a_file_swapped_for_a_fifo_between_two_looks_at_it_does_not_block(path, loader, monkeypatch):
    """What was a file a moment ago need not be one when it is opened."""
    was = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(reading.os, "stat", lambda _: was)
    assert "a FIFO" in str(loader.load().problems[0])


def test_too_large_is_refused_by_its_size_before_it_is_read(path, loader, monkeypatch):
    """The message has both numbers."""
    monkeypatch.setattr(os, "open", None)
    make_huge(path)
    with pytest.raises(DefinitionError, match=r"104,857,600 bytes; at most 8,388,608 are read"):
        loader.source.read()


def test_a_file_that_grows_while_it_is_read_is_refused_too(path, monkeypatch):
    """The size at the beginning was a promise nobody made."""
    monkeypatch.setattr(reading, "LARGEST", 10)
    monkeypatch.setattr(reading, "_regular", lambda found, shown: None)
    with pytest.raises(DefinitionError, match="at most 10 are read"):
        FileSource(path).read()


def test_a_world_writable_file_is_mentioned(path, loader, caplog):
    """Once; it serves all the same."""
    path.write_bytes(NEW)
    path.chmod(path.stat().st_mode | stat.S_IWOTH)
    assert loader.load().snapshot is not None
    assert "changed by every user" in caplog.text


# A file that is being written.


def test_a_fresh_file_counts_once_it_was_the_same_twice(path):
    """A writer that is seen in the middle is waited for."""
    chunks = [NEW[:11], NEW[:30], NEW]
    path.write_bytes(chunks.pop(0))

    def meanwhile(seconds):
        if chunks:
            path.write_bytes(chunks.pop(0))

    (piece,) = FileSource(path, pause=meanwhile).read()
    assert piece.text == NEW


def test_a_file_that_never_rests_is_left_to_the_next_look(path, loader):
    """The last good one serves; the problem says what to do."""
    numbers = iter(range(1000))

    def restless(seconds):
        path.write_bytes(b"# %d\n" % next(numbers) + NEW)

    loader.source._pause = restless
    restless(0)
    loaded = loader.load()
    assert loaded.stale
    assert "written all the time" in str(loaded.problems[0])
    assert loaded.problems[0].file == str(path)

    loader.source._pause = lambda seconds: None
    assert share(loader.load().snapshot) == 200_000


def test_a_file_at_rest_is_not_waited_for(path):
    """Starting a program costs no pause."""
    os.utime(path, (0, 0))
    pauses = []
    reading.steady(lambda: (b"x", 1.5), None, pauses.append)
    assert pauses == []
    reading.steady(lambda: (b"x", -3600.0), None, pauses.append)  # from the future: who knows
    reading.steady(lambda: (b"x", 0.2), None, pauses.append)
    assert len(pauses) == 2


@pytest.mark.parametrize("name", sorted(documents()))
def test_no_beginning_of_a_file_changes_what_serves(name, tmp_path):
    """Every byte prefix of twenty files, written in place over a live one: nothing is missing or changed, the whole file is good again."""
    whole = documents()[name].encode()
    path = tmp_path / name
    path.write_bytes(whole)
    loader = Loader(FileSource(path, pause=lambda seconds: None))
    good = serving = loader.first()
    refused = 0
    assert good.flags
    assert not good.rejected

    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        loaded = loader.load()
        serving = loaded.snapshot or serving
        refused += loaded.stale
        assert serving.flags == good.flags, whole[:length]
        assert loaded.stale or (serving.digest == good.digest and not serving.rejected), whole[:length]
    path.write_bytes(whole)
    back = loader.load()

    assert not back.stale
    assert (back.snapshot or serving).flags == good.flags
    assert refused > len(whole) / 2


def test_a_live_client_follows_every_way_within_a_second(path):
    """The background reader at work: 10 ways, poll 20 ms; what serves and what is there agree soon."""
    loader = Loader(FileSource(path))
    serving = [loader.first()]
    fresh = threading.Event()

    def look():
        loaded = loader.load()
        if loaded.snapshot is not None:
            serving.append(loaded.snapshot)
            fresh.set()

    def reaches(ppm, way):
        while share(serving[-1]) != ppm:  # a writer that is kept waiting in the middle of a file may be seen there
            assert fresh.wait(60), way
            fresh.clear()

    refresher = Refresher()
    refresher.every(0.02, look, name="source")
    refresher.start()
    try:
        for way in WAYS:
            way(path)
            reaches(200_000, way)
            path.unlink()
            path.write_bytes(OLD)
            reaches(100_000, way)
    finally:
        assert refresher.stop(60)


def test_a_copied_tree_is_another_file(path, tmp_path):
    """A relative path is where the program was when it connected."""
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        source = FileSource("flags.toml")
    finally:
        os.chdir(here)
    shutil.copy(path, tmp_path / "elsewhere.toml")
    assert source.name == "flags.toml"
    assert source.read()[0].text == OLD
