"""
A Django project: a page that only the staff sees, and a search whose rollout is taken back for what it does to some visitors.

Visitors whom nobody signed in keep their variant by a cookie. The new search fails where a book has no author; it is rolled back at a
fifth of the visitors, without anybody's doing. `manage.py check` and `manage.py progflags` say what they would say in a shell.

Run it: `python examples/django_project`. It serves on a port of this machine, takes about ten seconds, and ends with 0 when the story
went as told.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress

import django
import httpx
from django.core.management import CommandError, call_command

import progflags as pf


def serve() -> tuple[object, str]:
    """Under Django's own server, in a thread; in production it is gunicorn or whatever you have."""
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler, allow_reuse_address=False)
    server.set_app(get_wsgi_application())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def furnish() -> None:
    """Tables, some books, and two people who may sign in."""
    from django.contrib.auth.models import User
    from shop.models import Book

    call_command("migrate", "--run-syncdb", verbosity=0)
    titles = ("Gardens", "Glaciers", "Comets", "Violins", "Harbours", "Orchids")
    Book.objects.bulk_create(Book(title=f"{title} {n}", author=None if n == 3 else "A. Gardener") for title in titles for n in range(5))
    User.objects.create_user("olga", password="olga", is_staff=True)
    User.objects.create_user("paul", password="paul")


def previewed(url: str, name: str) -> tuple[int, bool]:
    """What somebody who signs in gets of the new home: the status of its own page, and whether the home is the new one."""
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as browser:
        browser.get("/sign-in", params={"name": name, "password": name}).raise_for_status()
        return browser.get("/preview").status_code, "new home" in browser.get("/").text


def visit(url: str, flags: pf.Flags) -> dict:
    """Sixty browsers with cookies search until the rollout has ended."""
    browsers = [httpx.Client(base_url=url, trust_env=False, timeout=30) for _ in range(60)]
    chance, seen = random.Random(8), Counter()
    variants: dict[int, list[str]] = {n: [] for n in range(len(browsers))}
    hit: set[int] = set()
    flags.rollouts.start("new-search", by="ann", reason="release 7")
    end = time.monotonic() + 60
    while time.monotonic() < end and (status := flags.rollouts.status("new-search")).state not in ("rolled_back", "cooling_down", "held"):
        who = chance.randrange(len(browsers))
        answer = browsers[who].get("/search", params={"q": chance.choice(["garden", "comets", "glaciers", "violins 3", "orchids 1"])})
        seen["searches"] += 1
        if answer.is_error:
            seen["failed"] += 1
            hit.add(who)
        variants[who].append("new" if answer.is_error else answer.json()["by"])
    served = [browser.get("/search", params={"q": "violins 3"}) for browser in browsers]
    return {
        "state": str(status.state),
        "percent_reached": status.reach,
        "reason": status.reason,
        **seen,
        "visitors": sum(bool(met) for met in variants.values()),
        "visitors_hit": len(hit),
        "visitors_new": sum("new" in met for met in variants.values()),
        "new_after_rollback": sum(answer.is_error or answer.json()["by"] == "new" for answer in served),
        # Whoever was outside stays there while the share does; the rollback brings the others back.
        "came_over": sum("old" in met and "new" in met[met.index("old") :] for met in variants.values()),
    }


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="progflags-example-") as folder:
        os.environ.update(SHOP_DATA=folder, DJANGO_SETTINGS_MODULE="project.settings")
        django.setup()
        print("$ manage.py check", flush=True)
        call_command("check")
        furnish()
        server, url = serve()
        people = {name: previewed(url, name) for name in ("olga", "paul")}
        print(f"\nthe new home: olga, of the staff, gets {people['olga'][0]}; paul gets {people['paul'][0]}\n\nthe new search, for some:")
        flags = pf.default()  # the client of the project
        outcome = visit(url, flags)
        print(f"  {outcome['searches']} searches of {outcome['visitors']} visitors; {outcome['visitors_new']} of them met the new one")
        print(f"  {outcome['state']}: {outcome['reason']}\n\n$ manage.py progflags rollout status new-search", flush=True)
        with suppress(CommandError):  # it exits with 1, for a gate failed
            call_command("progflags", "rollout", "status", "new-search")
        server.shutdown()
        flags.close()
    ok = (
        people == {"olga": (200, True), "paul": (404, False)}
        and outcome["state"] in ("rolled_back", "cooling_down")
        and outcome["percent_reached"] == 20
        and outcome["new_after_rollback"] == outcome["came_over"] == 0
        and outcome["visitors_hit"] > 0
    )
    print(json.dumps({"ok": ok, "previews": {name: status for name, (status, _) in people.items()}, **outcome}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
