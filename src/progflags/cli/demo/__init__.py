"""
`progflags demo`: the main job on real traffic.

Three kinds of real processes on loopback: a FastAPI application under uvicorn with two workers (`_app`, run by
`_server`), a load generator that knows nothing of progflags and only notes what it was served (`_load`), and the
storyteller (`story`), which starts two rollouts, shows them live and then compares the story with what the load
generator saw from outside.
"""
