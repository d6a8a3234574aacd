"""A page that is followed: how it ends, and what becomes of a fault on the way."""

import asyncio

import pytest

import progflags as pf
from progflags._trouble import counts

SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/live",
    "query_string": b"of=now",
    "headers": [(b"host", b"localhost")],
    "client": ("127.0.0.1", 5),
}


async def followed(app, taken, leave=True):
    """What a viewer was sent who reads until `taken` says otherwise; who may `leave` at the first thing that is drawn."""
    sent, gone = [], asyncio.Event()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if message.get("body", b"").startswith(b"data: ") and leave:
            gone.set()
        await taken(message)

    await asyncio.wait_for(app(dict(SCOPE), receive, send), 60)
    return sent


async def reads(_message):
    await asyncio.sleep(0)


@pytest.fixture
def open_to_all(flags):
    return pf.console(flags, insecure=True)


async def test_who_has_left_is_not_written_to(open_to_all):
    sent = await followed(open_to_all, reads)

    assert sent[0]["status"] == 200
    assert sent[-1]["body"].startswith(b"data: {")
    assert all(message["more_body"] for message in sent[1:])


async def test_who_still_reads_is_told_that_it_is_over(open_to_all, monkeypatch):
    monkeypatch.setattr("progflags._console._live._LONGEST", 0.0)

    assert (await followed(open_to_all, reads, leave=False))[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize(("fault", "ours"), [(ValueError("no"), 1), (BrokenPipeError(), 0), (TimeoutError(), 0)])
async def test_what_ends_it_is_counted_unless_it_is_the_viewers_doing(open_to_all, fault, ours):
    async def fails(message):
        if message.get("body"):
            raise fault

    before = counts().get("console: live", 0)
    sent = await followed(open_to_all, fails, leave=False)

    assert counts().get("console: live", 0) - before == ours
    assert sent[-1]["more_body"]
