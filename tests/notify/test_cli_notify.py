"""`progflags notify`: whom a message would reach."""

from __future__ import annotations

import json

import pytest

from progflags.cli import main

from .receiver import receiver


@pytest.fixture
def server():
    with receiver() as here:
        yield here


@pytest.fixture
def file(tmp_path, server):
    path = tmp_path / "flags.toml"
    path.write_text(
        f'[notify.well]\nslack = "{server.url}/a"\ntimeout = "60s"\n[notify.ill]\nslack = "env:NOT_SET_ANYWHERE"\n[flags.banner]\npercent = 100\n'
    )
    return str(path)


def test_every_channel_is_sent_a_test_and_says_whether_it_took_it(file, server, capsys):
    """What stands in the way of one keeps nothing from the others."""
    assert main(["--flags", file, "notify"]) == 1
    said = capsys.readouterr().out

    assert "✓ well took it" in said
    assert "✗ ill: " in said
    assert "the variable NOT_SET_ANYWHERE is not set in this process" in said
    assert "a test: progflags can tell you here" in server.documents[0]["text"]


def test_those_that_are_named_alone(file, server, capsys):
    """And as JSON."""
    assert main(["--json", "--flags", file, "notify", "well"]) == 0

    assert json.loads(capsys.readouterr().out) == [{"channel": "well", "ok": True, "error": ""}]
    server.answers.append(404)
    assert main(["--flags", file, "notify", "well"]) == 1
    assert "404" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "said"), [(["wel"], "did you mean 'well'?"), (["x"], "known: ill, well")])
def test_a_channel_that_there_is_not_is_said(file, capsys, words, said):
    """With what was perhaps meant."""
    assert main(["--flags", file, "notify", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_file_without_channels_says_how_to_name_one(tmp_path, capsys):
    """There is nobody to tell."""
    path = tmp_path / "flags.toml"
    path.write_text("[flags.banner]\n")

    assert main(["--flags", str(path), "notify"]) == 2
    assert "[notify.ops]" in capsys.readouterr().err
