"""What other galleries know of files: tags, ratings, favourites and collections out of their databases. Pure reading.

Their databases are SQLite files and hostile input: opened read-only, views and triggers never run, every value checked.
Source for the tables: Infinite Image Browsing (scripts/iib/db/datamodel.py), SmartGallery 2.14 (smartgallery.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sqlite3
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from memoryd.foundation.errors import NotAcceptable, TooLarge

PATH_LIMIT = 4_096
"""Characters of a file's path. Source: PATH_MAX on Linux."""

NAME_LIMIT = 200
"""Characters of a tag's or collection's name that are read; what is longer than a tag may be is told, not cut."""

NAMES_LIMIT = 200
"""Tags, and collections, of one file."""

FILES_LIMIT = 5_000_000
"""Files of one gallery."""

READING_LIMIT_S = 300
"""Seconds that one database may take: a table that never ends is no gallery's."""

STEPS = 100_000
"""Steps of SQLite's machine between two looks at the clock."""

FAVOURITE = "like"
"""What Infinite Image Browsing calls a favourite: a custom tag of this name, which is always there."""


class NotAGallery(NotAcceptable):
    """This file is no database of that gallery."""


class GalleryTooLarge(TooLarge):
    """This gallery is too large, or takes too long, to be read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerFile:
    """What a gallery, or a file's own XMP, says of one file. `stars` 1 to 5; `sha256` where somebody hashed it."""

    path: str
    size: int | None = None
    tags: tuple[str, ...] = ()
    stars: int | None = None
    favourite: bool = False
    rejected: bool = False
    collections: tuple[str, ...] = ()
    sha256: bytes | None = None

    @property
    def says_something(self) -> bool:
        """Whether there is anything to take over."""
        return bool(self.tags or self.collections or self.favourite or self.rejected or self.stars is not None)


def read_iib(database: Path) -> list[PeerFile]:
    """Return what Infinite Image Browsing knows of files: tags that people made, and favourites.

    Raises: NotAGallery, GalleryTooLarge, OSError.
    """
    with _opened(database, {"image": {"id", "path", "size"}, "tag": {"id", "name", "type"}, "image_tag": set()}) as ask:
        rows = ask(
            "select image.path, image.size, tag.name from image_tag"
            " join image on image.id = image_tag.image_id join tag on tag.id = image_tag.tag_id"
            " where tag.type = 'custom'"
        )
        names: defaultdict[str, list[str]] = defaultdict(list)
        sizes: dict[str, int | None] = {}
        for path, size, name in rows:
            if (place := _path(path)) is not None and (word := _name(name)) is not None:
                sizes[place] = _size(size)
                names[place].append(word)
    return [
        PeerFile(
            path=path,
            size=sizes[path],
            tags=_few(word for word in words if word != FAVOURITE),
            favourite=FAVOURITE in words,
        )
        for path, words in names.items()
    ]


def read_smartgallery(database: Path) -> list[PeerFile]:
    """Return what SmartGallery knows of files: favourites, ratings (the mean of all who rated), collections, flags.

    Its flags (Approved, Review, …) become tags. Raises: NotAGallery, GalleryTooLarge, OSError.
    """
    with _opened(database, {"files": {"id", "path", "is_favorite"}}) as ask:
        found: dict[str, PeerFile] = {}
        for key, path, size, favourite in ask("select id, path, size, is_favorite from files", _without("size")):
            if isinstance(key, str) and (place := _path(path)) is not None:
                found[key] = PeerFile(path=place, size=_size(size), favourite=favourite == 1)
        tags: defaultdict[str, list[str]] = defaultdict(list)
        collections: defaultdict[str, list[str]] = defaultdict(list)
        for key, name, kind in ask(
            "select collection_files.file_id, collections.name, collections.type from collection_files"
            " join collections on collections.id = collection_files.collection_id"
        ):
            if (word := _name(name)) is not None:
                (tags if kind == "system_flag" else collections)[str(key)].append(word)
        stars: dict[str, int] = {}
        for key, mean in ask("select file_id, avg(rating) from file_ratings group by file_id"):
            if isinstance(mean, int | float) and 1 <= mean <= 5:
                stars[str(key)] = int(mean + 0.5)
    told = [
        dataclasses.replace(file, tags=_few(tags[key]), collections=_few(collections[key]), stars=stars.get(key))
        for key, file in found.items()
    ]
    return [file for file in told if file.says_something]


Value: TypeAlias = "int | float | str | bytes | None"
Ask: TypeAlias = Callable[..., Iterator[Sequence[Value]]]

READERS: dict[str, Callable[[Path], list[PeerFile]]] = {"iib": read_iib, "smartgallery": read_smartgallery}
"""The galleries that can be read, by the word for them."""


def _without(column: str) -> tuple[str, str]:
    """Older galleries lack this column: null instead."""
    return column, f"null as {column}"


@contextlib.contextmanager
def _opened(database: Path, wanted: dict[str, set[str]]) -> Iterator[Ask]:
    """Open a copy or the file itself, read-only; yield what asks it. Tables not there answer with nothing."""
    if not database.is_file():
        raise NotAGallery(f"{database} is not there", hint="name the gallery's database file")
    with contextlib.ExitStack() as closing:
        log = database.with_name(database.name + "-wal")
        if log.is_file() and log.stat().st_size:
            # What is not yet in the file itself lies in its log, and reading that writes beside it: so from a copy.
            folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="memoryd-import-")))
            shutil.copyfile(database, folder / "peer.db")
            shutil.copyfile(log, folder / "peer.db-wal")
            address = f"file:{quote(str(folder / 'peer.db'))}?mode=rw"
        else:
            address = f"file:{quote(str(database.resolve()))}?mode=ro&immutable=1"
        try:
            connection = closing.enter_context(contextlib.closing(sqlite3.connect(address, uri=True)))
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            end = time.monotonic() + READING_LIMIT_S
            connection.set_progress_handler(lambda: int(time.monotonic() > end), STEPS)
            connection.execute("pragma query_only = on")
            connection.execute("pragma trusted_schema = off")
            # A view or a virtual table under a table's name would run what its maker likes.
            tables = {
                name
                for (name,) in connection.execute(
                    "select name from sqlite_master where type = 'table' and sql not like 'create virtual%'"
                )
            }
            for table, columns in wanted.items():
                there = {row[1] for row in connection.execute(f'pragma table_info("{table}")')}
                if table not in tables or not columns <= there:
                    raise NotAGallery(f"{database.name} has no such table as {table}", hint="is it the right file?")
            yield _asking(connection, tables)
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise GalleryTooLarge(f"{READING_LIMIT_S} s were not enough", hint="is the file whole?") from error
            raise NotAGallery(f"{database.name}: {error}", hint="is it the right file, and whole?") from error
        except sqlite3.DatabaseError as error:
            raise NotAGallery(f"{database.name}: {error}", hint="is it the right file, and whole?") from error


def _asking(connection: sqlite3.Connection, tables: set[str]) -> Ask:
    def ask(statement: str, older: tuple[str, str] | None = None) -> Iterator[Sequence[Value]]:
        words = statement.split()
        named = {words[at + 1].strip(",") for at, word in enumerate(words) if word in ("from", "join")}
        if not named <= tables:
            return
        try:
            rows = connection.execute(statement)
        except sqlite3.OperationalError as error:
            if older is None or older[0] not in str(error):
                raise
            rows = connection.execute(statement.replace(f" {older[0]},", f" {older[1]},"))
        for count, row in enumerate(rows):
            if count >= FILES_LIMIT:
                raise GalleryTooLarge(f"more than {FILES_LIMIT} rows", hint="is it the right file?")
            yield row

    return ask


def _path(value: Value) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= PATH_LIMIT and "\0" not in value else None


def _name(value: Value) -> str | None:
    return value.strip() if isinstance(value, str) and 0 < len(value.strip()) <= NAME_LIMIT else None


def _size(value: Value) -> int | None:
    return value if isinstance(value, int) and 0 < value < 2**62 else None


def _few(words: Iterator[str] | Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))[:NAMES_LIMIT]
