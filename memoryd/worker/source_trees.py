"""The source files of a node pack or of ComfyUI: which they are, their one hash, and an archive of them that is always equal.

In a git checkout: what it tracks, and code beside it. Without git: code and small texts. Weights, what runs leave behind, and
whatever is called like a secret are never among them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from memoryd.comfyui.source_archive import FILE_LIMIT, FILES_LIMIT, WEIGHTS, Member, tree_line
from memoryd.worker.git_index import Tracked, is_changed, read_index

TREE_LIMIT = 512 * 2**20
"""Bytes of all. Beyond a limit the tree has no hash: it is unknown, not guessed from a part."""

_LEFT_BEHIND = (".pyc", ".pyo", ".log", ".db", ".lock", ".tmp", ".part")
_CODE = (".py", ".pyx", ".pyi", ".so", ".pyd", ".dll", ".js", ".mjs", ".cu", ".cpp", ".c", ".h", ".glsl")
_TEXTS = (".json", ".yaml", ".yml", ".toml", ".txt", ".md", ".csv", ".css", ".html")
_FOLDERS_LEFT_OUT = frozenset({"__pycache__", "node_modules", "venv", "cache", "output", "temp", "tmp", "logs"})
COMFYUI_LEFT_OUT = frozenset({"models", "custom_nodes", "input", "output", "temp", "user", "extra_model_paths.yaml"})
"""What lies in ComfyUI's own folder and is not ComfyUI."""
_SECRET = re.compile(
    r"(^|.*[._-])(secrets?|passwords?|passwd|credentials?|api[_-]?keys?|token|cookies?)([._-].*|$)|\.env(\..*)?"
    r"|id_(rsa|ed25519|ecdsa)|.*\.(pem|key|p12|pfx|keystore)|\.netrc|\.npmrc|\.pypirc",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(r".*\.(example|sample|template)(\..*)?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file: its path below the tree with `/`, and what lies there. `link`: where a symbolic link points."""

    path: str
    place: Path
    size: int
    mtime_ns: int
    executable: bool
    link: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """The source files of a folder. `digest`: lower hex, None beyond a limit. `changed`: None where it is no git checkout."""

    root: Path
    files: tuple[SourceFile, ...] = dataclasses.field(repr=False)
    digest: str | None
    changed: bool | None


class SourceTrees:
    """Trees that were looked at before are hashed again only where a file's size or time differs."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._known: dict[Path, tuple[tuple[tuple[str, int, int], ...], SourceTree]] = {}

    def look(self, root: Path, git_folder: Path | None, *, is_comfyui: bool = False) -> SourceTree:
        """Return the tree of a folder. What cannot be read makes it unknown."""
        tracked = read_index(git_folder) if git_folder is not None else None
        files = tuple(list_sources(root, tracked, is_comfyui=is_comfyui))
        stamps = tuple((file.path, file.size, file.mtime_ns) for file in files)
        known = self._known.get(root)
        if known is not None and known[0] == stamps:
            return known[1]
        tree = SourceTree(
            root=root,
            files=files,
            digest=hash_sources(files),
            changed=any(is_changed(root, entry) for entry in tracked) if tracked is not None else None,
        )
        self._known[root] = (stamps, tree)
        return tree


def list_sources(root: Path, tracked: Sequence[Tracked] | None, *, is_comfyui: bool = False) -> Iterator[SourceFile]:
    """Yield the source files of a folder, sorted by path.

    Of ComfyUI: code and texts alone, so that a checkout and an unpacked release of one commit are equal.
    """
    if root.is_file():
        # A pack of one file is its own tree.
        found = _described(root.parent, root.name)
        yield from [found] if found is not None else []
        return
    paths = set(_walk(root, _CODE if tracked is not None else (*_CODE, *_TEXTS), is_comfyui=is_comfyui))
    for entry in tracked or ():
        if is_source(entry.path) and (not is_comfyui or _is_comfyui(entry.path)):
            paths.add(entry.path)
    for path in sorted(paths, key=os.fsencode):
        found = _described(root, path)
        if found is not None:
            yield found


def _is_comfyui(path: str) -> bool:
    parts = path.split("/")
    hidden = any(part.startswith(".") for part in parts)
    return not hidden and parts[0] not in COMFYUI_LEFT_OUT and path.lower().endswith((*_CODE, *_TEXTS))


def is_source(path: str) -> bool:
    """Tell whether a file is kept as source by its name: no weights, no rubbish, nothing called like a secret."""
    *folders, name = path.split("/")
    lower = name.lower()
    if lower.endswith((*WEIGHTS, *_LEFT_BEHIND)) or "__pycache__" in folders or ".git" in folders:
        return False
    return _SECRET.fullmatch(name) is None or _EXAMPLE.fullmatch(name) is not None or lower.endswith(".py")


def hash_sources(files: Sequence[SourceFile]) -> str | None:
    """Return the one hash of a tree's files: SHA-256 of each path and content, sorted; None beyond a limit, or unreadable."""
    if len(files) > FILES_LIMIT or sum(file.size for file in files) > TREE_LIMIT:
        return None
    whole = hashlib.sha256()
    try:
        for file in files:
            if file.size > FILE_LIMIT:
                return None
            content = os.fsencode(file.link) if file.link is not None else file.place.read_bytes()
            whole.update(tree_line(file.path, content, link=file.link is not None))
    except OSError:
        return None
    return whole.hexdigest()


def members_of(tree: SourceTree) -> Iterator[Member]:
    """Yield the files of a tree as an archive takes them."""
    for file in tree.files:
        yield Member(path=file.path, place=file.place, executable=file.executable, link=file.link)


def _walk(root: Path, endings: tuple[str, ...], *, is_comfyui: bool) -> Iterator[str]:
    for folder, names, files in os.walk(root):
        top = is_comfyui and folder == str(root)
        names[:] = sorted(
            name
            for name in names
            if name.lower() not in _FOLDERS_LEFT_OUT
            and not name.startswith(".")
            and not (top and name in COMFYUI_LEFT_OUT)
        )
        for name in files:
            if name.lower().endswith(endings) and not name.startswith(".") and not (top and name in COMFYUI_LEFT_OUT):
                path = (Path(folder) / name).relative_to(root).as_posix()
                if is_source(path):
                    yield path


def _described(root: Path, path: str) -> SourceFile | None:
    place = root / path
    try:
        found = place.lstat()
        link = str(place.readlink()) if stat.S_ISLNK(found.st_mode) else None
    except OSError:
        return None
    if link is None and not stat.S_ISREG(found.st_mode):
        return None
    return SourceFile(
        path=path,
        place=place,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        executable=bool(found.st_mode & stat.S_IXUSR),
        link=link,
    )
