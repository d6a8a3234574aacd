"""Servers of a test's own, to be ended and started again: on a free port, in a folder that outlives them."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

from support import servers
from support.patience import PATIENCE, until

__all__ = ["OwnPostgres", "OwnRedis", "OwnSentinel", "copied"]


class Own:
    """A server that `start` begins and `stop` ends; its data lie in `folder`, which is made, directly below a temporary one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        with self.folder.with_name(f"{self.folder.name}.log").open("ab") as log:
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log)
        until(lambda: self._process.poll() is not None or self.answers())
        assert self._process.poll() is None, "the server ended"

    def stop(self) -> None:
        """End it, and all who are connected to it."""
        if self._process is not None:
            self._process.send_signal(self.ending)
            self._process.wait(PATIENCE)
            self._process = None

    ending = signal.SIGTERM


def copied(source: Path, target: Path) -> None:
    """A folder as it is, with whom it belongs to."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


@cache
def _cluster(initdb: str, as_: tuple[str, ...]) -> Path:
    """An empty cluster, to be copied: to make one takes seconds."""
    place = Path(tempfile.mkdtemp(prefix="progflags-cluster-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    place.chmod(0o755)
    folder = place / "data"
    folder.mkdir()
    if as_:
        shutil.chown(folder, "postgres")
    made = [*as_, initdb, "-D", str(folder), "-U", "postgres", "-A", "trust", "-N"]
    subprocess.run(made, check=True, capture_output=True, cwd="/")
    return folder


class OwnRedis(Own):
    """Keeps what it acknowledged. `options` are added to its command."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self._options = options
        self._program = shutil.which("redis-server") or shutil.which("valkey-server")
        if self._program is None:
            servers.missing("Redis server's program", "PATH")
        folder.mkdir()

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def command(self) -> list[str]:
        options = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", str(self.folder), *self._options]
        return [str(self._program), "--port", str(self.port), "--bind", "127.0.0.1", *options]

    def answers(self) -> bool:
        client = pytest.importorskip("redis")
        with client.Redis(port=self.port, retry=client.retry.Retry(client.backoff.NoBackoff(), 0)) as one:
            try:
                return bool(one.ping())
            except client.AuthenticationError:
                return True
            except client.RedisError:
                return False


class OwnSentinel(OwnRedis):
    """Watches the primary at `port` as `mymaster` by itself, and takes it for gone after half a second."""

    def __init__(self, folder: Path, port: int, *lines: str) -> None:
        super().__init__(folder)
        settings = [
            f"monitor mymaster 127.0.0.1 {port} 1",
            "down-after-milliseconds mymaster 500",
            "failover-timeout mymaster 3000",
            *lines,
        ]
        (self.folder / "conf").write_text("\n".join([f"port {self.port}", "bind 127.0.0.1", *(f"sentinel {line}" for line in settings)]))

    @property
    def command(self) -> list[str]:
        return [str(self._program), str(self.folder / "conf"), "--sentinel"]


class OwnPostgres(Own):
    """Does not run as root: there it is the user `postgres`'s, where there is one. A standby of `primary`, which runs, if that is given."""

    ending = signal.SIGINT  # it ends its sessions rather than wait for them

    def __init__(self, folder: Path, primary: OwnPostgres | None = None) -> None:
        super().__init__(folder)
        binaries = sorted(
            Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name) if path.parent.name.isdecimal() else 0
        )
        where = os.pathsep.join([os.environ.get("PATH", ""), *map(str, reversed(binaries))])
        initdb, self._program = shutil.which("initdb", path=where), shutil.which("postgres", path=where)
        self._as = self._user()
        if initdb is None or self._program is None or self._as is None:
            servers.missing("PostgreSQL server's program, or a user other than root to run it", "PATH")
        folder.parent.chmod(0o755)
        if primary is None:
            copied(_cluster(initdb, tuple(self._as or ())), folder)
        else:
            self._follow(primary, shutil.which("pg_basebackup", path=where) or servers.missing("pg_basebackup", "PATH"))

    def _follow(self, primary: OwnPostgres, program: str) -> None:
        self.folder.mkdir(0o700)
        if self._as:
            shutil.chown(self.folder, "postgres")
        connection = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres"]
        subprocess.run([*(self._as or ()), program, *connection, "-D", str(self.folder), "-R", "-c", "fast"], check=True, cwd="/")

    @staticmethod
    def _user() -> list[str] | None:
        if getattr(os, "geteuid", lambda: 1)() != 0:
            return []
        try:
            __import__("pwd").getpwnam("postgres")  # not on Windows
        except KeyError:
            return None
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if shutil.which("setpriv") else None

    @property
    def address(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def command(self) -> list[str]:
        assert self._as is not None
        return [*self._as, str(self._program), "-D", str(self.folder), "-p", str(self.port), "-k", "", "-h", "127.0.0.1", "-F"]

    def answers(self) -> bool:
        psycopg = pytest.importorskip("psycopg")
        try:
            psycopg.connect(self.address, connect_timeout=10).close()
        except psycopg.Error:
            return False
        return True
