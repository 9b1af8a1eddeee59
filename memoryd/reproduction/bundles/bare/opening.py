"""A bundle's files, each held against its SHA-256 before anything is made of it."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any

FORMAT = "memoryd.bundle/1"
FILE_LIMIT = 8 * 2**30
"""Bytes of one file of a bundle, or of one output."""
MANIFEST_LIMIT = 16 * 2**20
"""Bytes of bundle.json: one with a hundred models and verdicts is below 1 MB."""
NAME_LIMIT = 400
"""Characters of a file's name in a bundle."""
_NAME = re.compile(r"[A-Za-z0-9@+_][A-Za-z0-9._@+ -]*(/[A-Za-z0-9@+_][A-Za-z0-9._@+ -]*)*")


class NotAttempted(Exception):
    """Nothing was computed; the words say why, `step` what to do about it."""

    def __init__(self, detail: str, step: str = "") -> None:
        """Say why, and what to do about it."""
        super().__init__(detail)
        self.step = step


class Bundle:
    """A bundle's files, from a folder or a ZIP. Each is held against its SHA-256 before it is handed out."""

    def __init__(self, place: Path) -> None:
        """Open it. Raises: NotAttempted for what is no bundle."""
        self._folder = place if place.is_dir() else None
        self._zip = None
        try:
            if self._folder is None:
                self._zip = zipfile.ZipFile(str(place))
            self.manifest = self._manifest()
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise NotAttempted(
                f"{place} is no bundle: {error}", "name a bundle, or the folder it was unpacked into"
            ) from None
        except zipfile.BadZipFile as error:
            raise NotAttempted(f"{place} is no bundle: {error}", "get it again") from None

    def _manifest(self) -> dict[str, Any]:
        told = json.loads(self._raw("bundle.json", MANIFEST_LIMIT).decode("utf-8"))
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise ValueError(f"not of the form {FORMAT}")
        self._files = {str(each["name"]): each for each in told["files"]}
        bad = [name for name in self._files if not is_plain_name(name)]
        if bad:
            raise ValueError(f"a file has no plain name: {bad[0]!r}")
        return told

    def _raw(self, name: str, limit: int) -> bytes:
        if self._zip is not None:
            with self._zip.open(name) as file:
                content = file.read(limit + 1)
        else:
            assert self._folder is not None
            path = self._folder.joinpath(*name.split("/"))
            if path.is_symlink() or self._folder.resolve() not in path.resolve().parents:
                raise ValueError(f"{name} leads out of the bundle")
            with path.open("rb") as file:
                content = file.read(limit + 1)
        if len(content) > limit:
            raise ValueError(f"{name} is larger than it says")
        return content

    def read(self, name: str) -> bytes:
        """Return a file's bytes, checked. Raises: NotAttempted."""
        told = self._files.get(name)
        try:
            if told is None:
                raise ValueError("bundle.json does not name it")
            content = self._raw(name, min(int(told["size"]), FILE_LIMIT))
            if hashlib.sha256(content).hexdigest() != told["sha256"]:
                raise ValueError("its SHA-256 is another one: it was changed")
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, RuntimeError) as error:
            raise NotAttempted(f"{plain(name)}: {error}", "get the bundle again") from None
        return content


def is_plain_name(name: str) -> bool:
    """Tell whether a name may be a file of a bundle: below it, on every system."""
    return (
        len(name) <= NAME_LIMIT
        and _NAME.fullmatch(name) is not None
        and not any(p.endswith(".") for p in name.split("/"))
    )


def plain(text: object) -> str:
    """Return a text of a bundle's maker as a terminal may show it."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:500])
