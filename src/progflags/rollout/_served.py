"""What of a store may leave it: the documents that say what is served, without what was gathered to decide it."""

from __future__ import annotations

from dataclasses import replace

from progflags.flags import EVERYTHING
from progflags.rollout.run import FLAG, ROLLOUT, subject
from progflags.rollout.state import bare
from progflags.store import Document, Store

__all__ = ["served"]


def served(store: Store) -> tuple[int, dict[str, Document]]:
    """
    The revision, and the documents of flags, rollouts and the switch of all flags, as of one moment.

    A process that has them serves what one at the store serves. They change with a step, a kill or a panic; not with every batch.

    Raises:
        StoreError: the store is out of reach.
    """
    revision, documents = store.read()
    panic = subject(EVERYTHING)
    return revision, {key: _bare(one) for key, one in documents.items() if key.startswith((FLAG, ROLLOUT)) or key == panic}


def _bare(document: Document) -> Document:
    return replace(document, body=bare(document.body)) if document.key.startswith(ROLLOUT) else document
