"""The servers that tests run against: running ones; PostgreSQL and Redis else started from a binary on PATH."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

__all__ = ["free_port", "missing", "postgres", "rabbitmq", "redis"]


def postgres() -> str:
    """A URL; skips (fails in CI) where there is none. `PROGFLAGS_TEST_POSTGRES` names one, else local ones are tried."""
    return _postgres() or missing("PostgreSQL", "PROGFLAGS_TEST_POSTGRES")


def redis() -> str:
    """As `postgres`, with `PROGFLAGS_TEST_REDIS`."""
    return _redis() or missing("Redis", "PROGFLAGS_TEST_REDIS")


def rabbitmq() -> str:
    """As `postgres`, with `PROGFLAGS_TEST_RABBITMQ`; it takes a service to start one, so it is only looked for."""
    return _rabbitmq() or missing("RabbitMQ", "PROGFLAGS_TEST_RABBITMQ")


def missing(what: str, variable: str) -> str:
    """Skip, and in CI fail, for want of it."""
    reason = f"no {what} is running here and none could be started: name one in {variable}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def _postgres() -> str:
    psycopg = pytest.importorskip("psycopg")

    def answers(url: str) -> bool:
        try:
            psycopg.connect(url, connect_timeout=20).close()
        except psycopg.Error:
            return False
        return True

    named = os.environ.get("PROGFLAGS_TEST_POSTGRES")
    running = [named] if named else [f"postgresql://{user}127.0.0.1:5432/test" for user in ("", "postgres@", "postgres:postgres@")]
    return next((url for url in running if answers(url)), "") or _start_postgres(answers)


def _start_postgres(answers: Callable[[str], bool]) -> str:
    programs = shutil.which("initdb"), shutil.which("postgres")
    if not all(programs) or not hasattr(os, "geteuid") or os.geteuid() == 0:  # it refuses to run as root
        return ""
    folder = tempfile.mkdtemp(prefix="progflags-pg-")
    subprocess.run([programs[0], "-D", folder, "-U", "postgres", "-A", "trust", "-N"], check=True, capture_output=True)
    port = free_port()
    command = [programs[1], "-D", folder, "-p", str(port), "-k", folder, "-h", "127.0.0.1", "-F"]
    return _started(command, folder, f"postgresql://postgres@127.0.0.1:{port}/postgres", answers)


@cache
def _redis() -> str:
    client = pytest.importorskip("redis")

    def answers(url: str) -> bool:
        try:
            return bool(client.Redis.from_url(url, socket_connect_timeout=200).ping())
        except client.RedisError:
            return False

    named = os.environ.get("PROGFLAGS_TEST_REDIS")
    running = named or "redis://127.0.0.1:6379/0"
    if answers(running):
        return running
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if named or not program:
        return ""
    folder, port = tempfile.mkdtemp(prefix="progflags-redis-"), free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    return _started(command, folder, f"redis://127.0.0.1:{port}/0", answers)


@cache
def _rabbitmq() -> str:
    pika = pytest.importorskip("pika")
    url = os.environ.get("PROGFLAGS_TEST_RABBITMQ") or "amqp://guest:guest@127.0.0.1:5672/%2F"
    try:
        pika.BlockingConnection(pika.URLParameters(f"{url}?blocked_connection_timeout=20&socket_timeout=20")).close()
    except pika.exceptions.AMQPError:
        return ""
    return url


def _started(command: list[str], folder: str, url: str, answers: Callable[[str], bool]) -> str:
    with (Path(folder) / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.wait, 20)
    atexit.register(server.terminate)
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        if answers(url):
            return url
        time.sleep(0.1)
    return ""


def free_port() -> int:
    """A port that nobody listens at just now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
