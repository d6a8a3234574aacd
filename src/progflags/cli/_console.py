"""`console`: the web console, for one operator on this machine, or for a team behind tokens."""

from __future__ import annotations

import argparse
import os
import secrets
import socket
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progflags._printed import quoted
from progflags.cli._client import require
from progflags.cli._say import tell, tell_json
from progflags.errors import ProgflagsError, missing

if TYPE_CHECKING:
    from progflags._console import Viewer

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("console", help="everything under way on a page in your browser, with the buttons to steer it")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default 127.0.0.1; another needs tokens)")
    parser.add_argument("--port", type=int, default=8321, help="port to listen at (default 8321; 0: any that is free)")
    parser.add_argument("--allow", action="append", default=[], metavar="NAME", help="a host name it is reached by; repeat for more")
    parser.add_argument("--token-file", metavar="FILE", help="who may do what: TOKEN NAME ROLE,ROLE on each line")
    parser.add_argument("--insecure", action="store_true", help="no token: everybody who reaches it may do everything")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve it until interrupted."""
    try:
        import uvicorn
    except ImportError as error:
        raise missing(error, "uvicorn", "uvicorn", "console") from error
    from progflags._connect import connect
    from progflags._console import console

    require(arguments)
    tokens, shown = _tokens(arguments)
    where = {"store": arguments.store, "environment": arguments.environment}
    with connect(arguments.flags or None, control=False, **where) as flags, _listening(arguments) as listener:
        app = console(flags, token=tokens, insecure=arguments.insecure, hosts=(*arguments.allow, arguments.host))
        port = listener.getsockname()[1]
        _say(arguments, f"http://{_written(arguments.host)}:{port}/", shown)
        # Whoever reaches the console past a proxy must not choose the address that wrong tokens are counted by.
        quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False}
        config = uvicorn.Config(app, proxy_headers=False, timeout_graceful_shutdown=1, **quiet)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
    return 0


def _say(arguments: argparse.Namespace, url: str, token: str) -> None:
    if arguments.json:
        tell_json({"ok": True, "url": url, **({"token": token} if token else {})}, flush=True)
        return
    tell(f"the console is at {url}", flush=True)
    if token:
        tell(f"token, for this time only: {token}", flush=True)


def _tokens(arguments: argparse.Namespace) -> tuple[dict[str, Viewer] | None, str]:
    """Who has which token; and the one that was made for this time, where nobody said any."""
    from progflags._connect import login
    from progflags._console import Viewer

    given = os.environ.get("PROGFLAGS_CONSOLE_TOKEN", "")
    if arguments.token_file:
        return dict(_of_line(line, arguments.token_file, number) for number, line in _lines(arguments.token_file)), ""
    if arguments.insecure:
        return None, ""
    if not given and not _is_loopback(arguments.host):
        raise ProgflagsError(
            f"{quoted(arguments.host)} is reached by others: say --token-file FILE, or set PROGFLAGS_CONSOLE_TOKEN; "
            "or --insecure, and each of them may do everything"
        )
    token = given or secrets.token_urlsafe(18)
    return {token: Viewer(login(), ("operator", "approver"))}, "" if given else token


def _lines(file: str) -> list[tuple[int, str]]:
    text = Path(file).read_text(encoding="utf-8")
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]


def _of_line(line: str, file: str, number: int) -> tuple[str, Viewer]:
    from progflags._console import Viewer

    words = line.split()
    try:
        token, name, roles = words
        return token, Viewer(name, roles.split(","))
    except ValueError as error:
        why = str(error) if len(words) == 3 else "TOKEN NAME ROLE,ROLE is wanted here"
        raise ProgflagsError(f"{file}:{number}: {why}") from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listening(arguments: argparse.Namespace) -> socket.socket:
    family = socket.AF_INET6 if ":" in arguments.host else socket.AF_INET
    try:
        return socket.create_server((arguments.host, arguments.port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise ProgflagsError(f"{_written(arguments.host)}:{arguments.port} can't be listened at: {error}") from error


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host
