"""The demo's console: a process of its own, gone as soon as whoever started it is gone."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from progflags.cli.demo._server import until_stdin_ends

__all__ = ["main"]


def main(home: Path, port: int) -> None:
    """Serve the console of the demo's flags on loopback."""
    import uvicorn

    import progflags as pf

    threading.Thread(target=until_stdin_ends, daemon=True).start()
    with pf.connect(home / "demo.flags.toml", store=f"sqlite:///{home / 'state.db'}", control=False) as flags:
        # Everybody on this machine may press its buttons: there is nothing behind them but the demo.
        app = pf.console(flags, insecure=True)
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False, timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
