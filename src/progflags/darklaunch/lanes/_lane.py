"""What the places a shadow can run in have in common."""

from __future__ import annotations

from typing import Protocol, TypeVar

from progflags.darklaunch.record import Shed

__all__ = ["Here", "Job", "Lane", "Later"]


class Job(Protocol):
    """Work for a lane. It knows what it is for; a lane knows only when and where."""

    #: Seconds the candidate may take, and when it was handed over (time.monotonic()).
    deadline: float
    at: float

    @property
    def owner(self) -> object:
        """Whose turn it is when this job is taken: the experiment."""
        ...

    def work(self) -> None:
        """Run to the end, in this thread. Must not raise."""
        ...

    def abandon(self) -> None:
        """It has overrun its deadline and can't be stopped: whatever it says from now on is not heard."""
        ...

    def stop(self) -> bool:
        """It is asked to end, time and again after it was abandoned; False: it need not be asked any more."""
        ...

    def refuse(self, reason: Shed) -> None:
        """It will not be run after all."""
        ...

    def spent(self, cpu: float) -> None:
        """It has used so many CPU seconds."""
        ...

    def grew(self, size: int) -> None:
        """The process has grown by so many bytes while it ran: more than a shadow may take."""
        ...


J = TypeVar("J", contravariant=True)  # noqa: PLC0105 - one letter, one use


class Lane(Protocol[J]):
    """A place to run jobs that never makes the caller wait."""

    def room(self, owner: object = None) -> Shed | None:
        """Why a job of `owner` would be refused now, or None."""
        ...

    def submit(self, job: J, /) -> Shed | None:
        """Take the job, or say why not."""
        ...


class Here:
    """Inline: the job is done before `submit` returns."""

    def room(self, owner: object = None) -> Shed | None:  # noqa: ARG002 - there always is room
        return None

    def submit(self, job: Job) -> Shed | None:
        job.work()
        return None


class Later:
    """Inline for coroutines: whoever submits awaits the job himself."""

    def room(self, owner: object = None) -> Shed | None:  # noqa: ARG002 - there always is room
        return None

    def submit(self, _: Job) -> Shed | None:
        return None
