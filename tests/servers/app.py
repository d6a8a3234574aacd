"""One application for every server: what each worker serves, as JSON. PROGFLAGS_FILE and PROGFLAGS_STORE say from where."""

import json
import os

from lifespan import lived

import progflags as pf
from progflags import asgi, wsgi

flags = pf.connect(os.environ["PROGFLAGS_FILE"], store=os.environ["PROGFLAGS_STORE"])
pf.set_default(flags)


@pf.dark_launch("shadow", candidate=lambda n: n + 1, flags=flags)
def inc(n):
    return n + 1


inc(1)  # before any worker is there: what is made here belongs to the process that loads the application


def answer(unit):
    """What this worker serves; under /priced, which the middleware shadows, what is the same everywhere."""
    if unit == "priced":
        return b'{"price": 2}'
    told = {"answer": inc(1), "pid": os.getpid(), "kill": not flags.is_enabled("killed", "u"), "file": flags.is_enabled("changed", "u")}
    stats, doors = inc.dark_launch.stats(), [each.dark_launch.stats() for each in (shadowed_wsgi, shadowed_asgi)]
    told |= {"climbing": flags.is_enabled("climbing", unit), "shadows": stats.outcomes["match"], "shed": stats.shed}
    told |= {"doors": sum(door.outcomes["match"] for door in doors), "differ": sum(door.outcomes["mismatch"] for door in doors)}
    status = flags.status()
    return json.dumps(told | {"state": status.state, "threads": status.threads}).encode()


def plain_wsgi(environ, start):
    body = answer(environ["PATH_INFO"].strip("/"))
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


async def plain_asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await lived(receive, send)
        return
    body = answer(scope["path"].strip("/"))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


shadowed_wsgi = wsgi.DarkLaunchMiddleware(
    plain_wsgi, flag="door", candidate=plain_wsgi, flags=flags, run_if=lambda environ: environ["PATH_INFO"] == "/priced"
)
shadowed_asgi = asgi.DarkLaunchMiddleware(
    plain_asgi, flag="door", candidate=plain_asgi, flags=flags, run_if=lambda scope: scope["path"] == "/priced"
)
for_wsgi = wsgi.FlagsMiddleware(shadowed_wsgi, flags=flags)
for_asgi = asgi.FlagsMiddleware(shadowed_asgi, flags=flags)
application = for_wsgi  # the name uWSGI looks for
