"""A Celery application, for its prefork workers: one task that says what its process serves."""

import os

from celery import Celery

import progflags as pf

flags = pf.connect(os.environ["PROGFLAGS_FILE"], store=os.environ["PROGFLAGS_STORE"])
broker = os.environ["PROGFLAGS_BROKER"]
celery = Celery("jobs", broker=broker, backend=broker)
celery.conf.task_default_queue = os.environ["PROGFLAGS_QUEUE"]
celery.conf.broker_connection_retry_on_startup = True


@pf.dark_launch("shadow", candidate=lambda n: n + 1, flags=flags)
def inc(n):
    return n + 1


inc(1)


@celery.task(shared=False)  # else every application of the process has it, once for each time this is imported
def look(unit):
    told = {"pid": os.getpid(), "answer": inc(1), "kill": not flags.is_enabled("killed", "u"), "file": flags.is_enabled("changed", "u")}
    return told | {"climbing": flags.is_enabled("climbing", unit), "shadows": inc.dark_launch.stats().outcomes["match"]}
