"""What a shadow may not do: writes, sends and unsafe methods, and the marks that say a shadow is at work."""

from progflags.darklaunch.guards._guards import (
    Guard,
    close_connections,
    django_readonly,
    django_rollback,
    http_safe_methods,
    reads_only,
    refuse,
    sqlalchemy_readonly,
    tasks,
)
from progflags.darklaunch.guards._marker import HEADER, around_shadows, baggage, header, mark
from progflags.darklaunch.guards._places import replace

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
