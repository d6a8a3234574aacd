"""How long it takes from a bad release's first failing call to the message at Slack's side: a local server that takes Slack's form."""

import statistics
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import progflags as pf

RUNS = 15
FILE = """
[notify.ops]
slack = "{url}"

[flags.new-checkout.rollout]
batch = "1s"
stages = [{{ percent = 50, bake = "60s", min_samples = 20, gates = [{{ metric = "error_rate", max = 0.01 }}] }}]
"""


class Slack(BaseHTTPRequestHandler):
    seen: list[tuple[str, float]] = []  # noqa: RUF012 - one server at a time

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.seen.append((body, time.monotonic()))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def release(url: str, brake: bool) -> float:
    """Seconds from the first failing call until the rollback was received."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "flags.toml"
        file.write_text(FILE.format(url=url) + ("" if brake else "brake = false\n"))
        Slack.seen.clear()
        with pf.connect(file, store=f"sqlite:///{folder}/state.db") as flags:
            flags.rollouts.start("new-checkout")
            began, failed = time.monotonic(), False
            while not any("was rolled back" in body for body, _ in Slack.seen):
                ready = time.monotonic() - began > 3.0  # three good seconds first
                for user in range(20):
                    with pf.bind(pf.Context(f"user-{user}")):
                        arm = "candidate" if flags.is_enabled("new-checkout") else "control"
                    if ready and arm == "candidate" and not failed:
                        first, failed = time.monotonic(), True
                    flags.metrics.record("new-checkout", arm=arm, seconds=0.01, error=ready and arm == "candidate")
                time.sleep(0.05)
            return next(at for body, at in Slack.seen if "was rolled back" in body) - first


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slack)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/services/T0/B0/x"
    for name, brake in (("with the brake", True), ("by the gate alone", False)):
        took = [release(url, brake) for _ in range(RUNS)]
        print(f"{name:<18} {RUNS} bad releases: median {statistics.median(took):.2f} s, longest {max(took):.2f} s")
    server.shutdown()
    server.server_close()
