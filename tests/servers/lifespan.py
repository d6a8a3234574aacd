"""An ASGI application's lifespan that begins and ends when it is told to."""


async def lived(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
