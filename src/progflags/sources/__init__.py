"""From anywhere to a Snapshot: files, folders, dicts, the environment, the store; and the thread that keeps looking."""

from progflags.sources._annals import Annals, Seen
from progflags.sources._contract import Lively, Loaded, Piece, Source
from progflags.sources._decode import decode_piece
from progflags.sources._defined import DEFINED, Changed, Defined
from progflags.sources._env import EnvSource
from progflags.sources._file import FORMS, DirectorySource, FileSource
from progflags.sources._generations import Generations
from progflags.sources._layered import Layered, lively, source_of
from progflags.sources._loader import Loader
from progflags.sources._merge import assemble, astray, environments, laid, merged, place_of
from progflags.sources._overlay import overlay
from progflags.sources._read import LARGEST
from progflags.sources._refresher import Refresher
from progflags.sources._static import DictSource
from progflags.sources._store import StoreSource, push, pushed

__all__ = [
    "DEFINED",
    "FORMS",
    "LARGEST",
    "Annals",
    "Changed",
    "Defined",
    "DictSource",
    "DirectorySource",
    "EnvSource",
    "FileSource",
    "Generations",
    "Layered",
    "Lively",
    "Loaded",
    "Loader",
    "Piece",
    "Refresher",
    "Seen",
    "Source",
    "StoreSource",
    "assemble",
    "astray",
    "decode_piece",
    "environments",
    "laid",
    "lively",
    "merged",
    "overlay",
    "place_of",
    "push",
    "pushed",
    "source_of",
]
