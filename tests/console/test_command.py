"""`progflags console`: where it listens, whom it lets in, and what it refuses."""

import json
import os
import signal
import subprocess
import sys

import httpx
import pytest

from progflags.cli import main


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "flags.toml").write_text("schema = 1\n[flags.checkout]\nrollout = { profile = 'standard' }\n")
    monkeypatch.setenv("PROGFLAGS_FILE", str(tmp_path / "flags.toml"))
    monkeypatch.setenv("PROGFLAGS_STORE", f"sqlite:///{tmp_path / 'state.db'}")
    monkeypatch.delenv("PROGFLAGS_CONSOLE_TOKEN", raising=False)
    return tmp_path


def test_it_serves_on_this_machine_with_a_token_of_its_own(place):
    child = subprocess.Popen([sys.executable, "-m", "progflags", "--json", "console", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        told = json.loads(child.stdout.readline())
        with httpx.Client(base_url=told["url"], trust_env=False) as client:
            assert told["url"].startswith("http://127.0.0.1:")
            assert client.get("/").status_code == 303
            assert client.get("/api/now").status_code == 401
            mine = {"authorization": f"Bearer {told['token']}"}
            assert client.get("/", headers=mine).status_code == 200
            assert client.post("/api/act/kill", json={"flag": "checkout", "reason": "bad"}, headers=mine).status_code == 200
            assert [one["kind"] for one in client.get("/api/now", headers=mine).json()["troubles"]] == ["kill"]
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(30)
        child.stdout.close()
    assert child.returncode == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "example.com", "::"])
def test_elsewhere_it_wants_tokens(place, capsys, host):
    assert main(["console", "--host", host, "--port", "0"]) == 2
    assert "--token-file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "why"),
    [("abc", "TOKEN NAME ROLE"), ("a-token-0123456789 ann king", "king"), ("short ann viewer", "at least 16"), ("", "at least 16")],
)
def test_a_file_of_tokens_that_is_wrong_is_told_where(place, capsys, line, why):
    file = place / "tokens"
    file.write_text(f"# who\n{line}\n")

    assert main(["console", "--port", "0", "--token-file", str(file)]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert "0123456789" not in said


def test_a_port_that_is_taken_is_said(place, capsys):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["console", "--port", str(port)]) == 2
    assert str(port) in capsys.readouterr().err


def test_without_its_packages_it_says_how_to_get_them(place):
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "starlette":
            raise ModuleNotFoundError("No module named 'starlette'", name="starlette")
sys.meta_path.insert(0, Absent())
from progflags.cli import main
sys.exit(main(["console", "--port", "0"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)

    assert done.returncode == 2
    assert "pip install 'progflags[console]'" in done.stderr
