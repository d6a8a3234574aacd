"""The demo's server process: uvicorn with two workers, gone as soon as whoever started it is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading

__all__ = ["main", "until_stdin_ends"]


def main(port: int) -> None:
    """Serve the demo's application on loopback until standard input ends, which it also does when the parent dies."""
    import uvicorn

    threading.Thread(target=until_stdin_ends, daemon=True).start()
    uvicorn.run(
        "progflags.cli.demo._app:app",
        host="127.0.0.1",
        port=port,
        workers=2,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=120,  # longer than the demo: a connection closed while a request is on its way would be a lost request
    )


def until_stdin_ends() -> None:
    """End this process as its parent ends, or wants it to."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]))
