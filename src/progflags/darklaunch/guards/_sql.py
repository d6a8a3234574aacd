"""Can this statement only read? Asked by guards, of text, before the database sees it."""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["reads_only", "verb"]

# Atomic, for what stands before the first word may be any number of comments, which must not be tried in every grouping.
_LEADING: Final = re.compile(r"(?>(?:\s|--[^\n]*\n|/\*(?>.*?\*/)|\()*)([a-zA-Z]+)", re.DOTALL)
_READS: Final = frozenset({"SELECT", "WITH", "SHOW", "EXPLAIN", "DESCRIBE", "VALUES", "TABLE"})
_CONTROLS: Final = frozenset({"SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "START", "COMMIT", "SET", "END"})
# A name behind a dot is a column's; REPLACE(, INSERT( and TRUNCATE( are functions of text and numbers.
_WRITES: Final = re.compile(
    r"(?<!\.)\b(?:(?:REPLACE|INSERT|TRUNCATE)\b(?!\s*\()|"
    r"(?:UPDATE|DELETE|MERGE|INTO|ALTER|CREATE|DROP|GRANT|CALL|LOCK|NEXTVAL|SETVAL|ANALYZE|(?:PG_(?:TRY_)?ADVISORY|GET_LOCK)\w*|"
    r"FOR\s+(?:KEY\s+)?SHARE)\b)",
    re.IGNORECASE,
)
_COMMENTS: Final = r"--[^\n]*|/\*(?!!).*?\*/"  # /*! … */ is code to MySQL
_QUOTED: Final = re.compile(rf"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|{_COMMENTS}", re.DOTALL)
#: The same where a backslash escapes a quote (MySQL, PostgreSQL's E''). Which of the two holds, the text does not say.
_ESCAPED: Final = re.compile(rf"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`[^`]*`|{_COMMENTS}", re.DOTALL)


def reads_only(sql: str) -> bool:
    """
    Whether a statement can only read. Cautious: a locking SELECT, a WITH that writes, a sequence's nextval are no reads.

    It looks at words, so a function with effects called by a SELECT passes; a read-only database role is the stronger guard.
    """
    leading = _LEADING.match(sql)
    word = "" if leading is None else leading.group(1).upper()
    if word not in _READS and word not in _CONTROLS:
        return False
    readings = (_QUOTED, _ESCAPED) if "\\" in sql else (_QUOTED,)
    return all(_harmless(quoted.sub(" ", sql), word) for quoted in readings)


def _harmless(plain: str, word: str) -> bool:
    """`plain` is without literals and comments: one statement, and no word in it that writes."""
    return ";" not in plain.rstrip().rstrip(";") and (word in _CONTROLS or not _WRITES.search(plain))


def verb(sql: Any) -> str:
    """What a refused statement is called: its first word, nothing of its data."""
    leading = _LEADING.match(sql) if isinstance(sql, str) else None
    return "SQL" if leading is None else f"SQL {leading.group(1).upper()}"
