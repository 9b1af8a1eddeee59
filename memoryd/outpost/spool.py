"""What was read and not yet sent, and what was sent: one SQLite file, written through to the disk, held by one process.

A file's facts and the note that it was read are one transaction, so that a kill -9 at any moment leaves both or neither;
sending again what was sent already changes nothing at the server.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from memoryd.foundation.errors import Conflict, Unavailable

SPOOL_LIMIT = 2**30
"""Bytes of facts that wait at most: about 20,000 pictures with large workflows. Beyond it files stay unread in their
folder, which is spool enough, until the server has taken some."""

_SCHEMA = """
create table if not exists setting (name text primary key, value text not null);
create table if not exists file (
    path text primary key, size integer not null, mtime_ns integer not null, sha256 text, state text not null, why text
);
create table if not exists letter (
    id integer primary key autoincrement, path text not null unique, sha256 text not null, facts blob not null,
    step text not null
);
create table if not exists gone (path text primary key);
"""


class OutpostRunsAlready(Conflict):
    """Another process watches this folder for this server already."""


class SpoolUnusable(Unavailable):
    """What waits to be sent cannot be written or read."""


class Step(enum.StrEnum):
    """What is to be done next with a letter."""

    FACTS = "facts"
    BYTES = "bytes"
    """The server has the facts, and asked for the bytes."""


class FileState(enum.StrEnum):
    """How far a file is."""

    READ = "read"
    SENT = "sent"
    REFUSED = "refused"
    """It could not be read, or the server would not have it; tried again when it changes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A file's size in bytes and time in nanoseconds, by which a change is noticed."""

    size: int
    mtime_ns: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One file's facts (JSON of an AssetSent), to be sent. `path` is below the folder, with `/`."""

    id: int
    path: str
    sha256: str
    facts: bytes
    step: Step


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many letters wait, their bytes, and how many files were sent or refused."""

    waiting: int
    size: int
    sent: int
    refused: int


class Spool:
    """The spool of one folder and one server. Safe to use from several threads of one process."""

    def __init__(self, path: Path) -> None:
        """Open it, made where it is not there. Raises: OutpostRunsAlready; SpoolUnusable."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, timeout=1.0, check_same_thread=False, isolation_level=None)
            # Held by one process for as long as it lives: the operating system lets go of it, whatever becomes of us.
            self._db.execute("pragma locking_mode = exclusive")
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            self._db.execute("begin immediate")
            self._db.execute("commit")
            self._db.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise OutpostRunsAlready(str(path), hint="stop the other one first") from None
            raise SpoolUnusable(f"{path}: {error}", hint="--state names another folder") from error
        except sqlite3.DatabaseError as error:
            raise SpoolUnusable(
                f"{path}: {error}", hint="remove it: every file is then read and sent again, which changes nothing"
            ) from error

    def close(self) -> None:
        """Let go of it."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("begin immediate")
                yield self._db
                self._db.execute("commit")
            except sqlite3.Error as error:
                self._undo()
                raise SpoolUnusable(str(error), hint="is the disk full?") from error
            except BaseException:
                self._undo()
                raise

    def _undo(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("rollback")

    def setting(self, name: str) -> str | None:
        """Return what was kept under a name."""
        with self._lock:
            row = self._db.execute("select value from setting where name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep_setting(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        with self._writing() as db:
            db.execute("insert or replace into setting values (?, ?)", (name, value))

    def faces(self) -> dict[str, Face]:
        """Return every file that was read or refused, by path, as it looked then."""
        with self._lock:
            rows = self._db.execute("select path, size, mtime_ns from file").fetchall()
        return {path: Face(size=size, mtime_ns=mtime_ns) for path, size, mtime_ns in rows}

    def put(self, path: str, face: Face, sha256: str, facts: bytes) -> None:
        """Keep a file's facts until they are sent; those of an earlier state of the same path give way."""
        with self._writing() as db:
            db.execute("delete from letter where path = ?", (path,))
            db.execute("delete from gone where path = ?", (path,))
            db.execute(
                "insert into letter (path, sha256, facts, step) values (?, ?, ?, ?)", (path, sha256, facts, Step.FACTS)
            )
            self._note(db, path, face, sha256, FileState.READ, None)

    def refuse(self, path: str, face: Face, why: str) -> None:
        """Note why a file is not sent; it is tried again when it changes."""
        with self._writing() as db:
            db.execute("delete from letter where path = ?", (path,))
            self._note(db, path, face, None, FileState.REFUSED, why)

    def _note(
        self, db: sqlite3.Connection, path: str, face: Face, sha256: str | None, state: FileState, why: str | None
    ) -> None:
        db.execute(
            "insert or replace into file values (?, ?, ?, ?, ?, ?)",
            (path, face.size, face.mtime_ns, sha256, state, why),
        )

    def put_gone(self, paths: Collection[str]) -> None:
        """Note that files are no longer where they were; their facts, if still unsent, are sent first all the same."""
        with self._writing() as db:
            db.executemany("insert or ignore into gone values (?)", [(path,) for path in paths])
            db.executemany("delete from file where path = ?", [(path,) for path in paths])

    def waiting(self, step: Step, limit: int) -> list[Letter]:
        """Return letters for a step, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "select id, path, sha256, facts, step from letter where step = ? order by id limit ?", (step, limit)
            ).fetchall()
        return [
            Letter(id=id_, path=path, sha256=sha256, facts=facts, step=Step(word))
            for id_, path, sha256, facts, word in rows
        ]

    def gone(self, limit: int) -> list[str]:
        """Return paths that are there no more and of which no facts wait."""
        with self._lock:
            rows = self._db.execute(
                "select path from gone where path not in (select path from letter) order by path limit ?", (limit,)
            ).fetchall()
        return [path for (path,) in rows]

    def told_gone(self, paths: Sequence[str]) -> None:
        """Note that the server knows of them."""
        with self._writing() as db:
            db.executemany("delete from gone where path = ?", [(path,) for path in paths])

    def delivered(self, letters: Sequence[Letter], bytes_wanted: Collection[int] = ()) -> None:
        """Note that the server has these; those in `bytes_wanted` (ids) wait on until their bytes are sent."""
        with self._writing() as db:
            for letter in letters:
                # Only this very letter: the file may have been read anew meanwhile.
                if letter.id in bytes_wanted:
                    db.execute("update letter set step = ? where id = ?", (Step.BYTES, letter.id))
                elif db.execute("delete from letter where id = ?", (letter.id,)).rowcount:
                    db.execute(
                        "update file set state = ? where path = ? and sha256 = ?",
                        (FileState.SENT, letter.path, letter.sha256),
                    )

    def set_aside(self, letter: Letter, why: str) -> None:
        """Note that the server would not have a file."""
        with self._writing() as db:
            if db.execute("delete from letter where id = ?", (letter.id,)).rowcount:
                db.execute(
                    "update file set state = ?, why = ? where path = ?", (FileState.REFUSED, why[:500], letter.path)
                )

    def forget(self, letter: Letter) -> None:
        """Drop a letter and the note of its file: it is read again when it is seen."""
        with self._writing() as db:
            db.execute("delete from letter where id = ?", (letter.id,))
            db.execute("delete from file where path = ?", (letter.path,))

    def forget_sent(self) -> list[str]:
        """Drop the notes of all files that were sent or refused, and return their paths: they are read again when seen."""
        with self._writing() as db:
            rows = db.execute("delete from file where state <> ? returning path", (FileState.READ,)).fetchall()
        return [path for (path,) in rows]

    def counts(self) -> Counts:
        """Return how far everything is."""
        with self._lock:
            waiting, size = self._db.execute("select count(*), coalesce(sum(length(facts)), 0) from letter").fetchone()
            states = dict(self._db.execute("select state, count(*) from file group by state").fetchall())
        return Counts(
            waiting=waiting, size=size, sent=states.get(FileState.SENT, 0), refused=states.get(FileState.REFUSED, 0)
        )

    def is_full(self) -> bool:
        """Tell whether SPOOL_LIMIT is met."""
        return self.counts().size >= SPOOL_LIMIT
