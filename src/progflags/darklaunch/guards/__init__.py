"""What a shadow may not do: writes, sends and unsafe methods, and the marks that say a shadow is at work."""

from progflags.darklaunch.guards._databases import close_connections, django_readonly, django_rollback, sqlalchemy_readonly
from progflags.darklaunch.guards._http import http_safe_methods
from progflags.darklaunch.guards._marker import HEADER, around_shadows, baggage, header, mark
from progflags.darklaunch.guards._places import replace
from progflags.darklaunch.guards._refuse import refuse, tasks
from progflags.darklaunch.guards._sql import reads_only
from progflags.darklaunch.guards._switch import Guard

__all__ = [
    "HEADER",
    "Guard",
    "around_shadows",
    "baggage",
    "close_connections",
    "django_readonly",
    "django_rollback",
    "header",
    "http_safe_methods",
    "mark",
    "reads_only",
    "refuse",
    "replace",
    "sqlalchemy_readonly",
    "tasks",
]
