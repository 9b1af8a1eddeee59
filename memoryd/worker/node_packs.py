"""Which node packs a ComfyUI has, and at which commits: read from their files; nothing of theirs, nor git, is run."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from memoryd.dispatch.wire import NodePack
from memoryd.foundation.canonical_json import Json
from memoryd.worker.source_trees import SourceTree, SourceTrees

PACKS_LIMIT = 2_000
FILE_LIMIT = 4 * 1024 * 1024
"""Bytes of one of git's files that are read; packed refs of a large repository take about 1 MB."""

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_REF = re.compile(r"refs(/[A-Za-z0-9_+=@.-]+)+")
_REMOTE = re.compile(r'\[\s*remote\s+"([^"]*)"\s*\]')
_GITHUB = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PackSeen:
    """A pack as it is stated and, where its files lie here, which they are."""

    stated: NodePack
    sources: SourceTree | None = None

    def as_json(self) -> dict[str, Json]:
        """The pack as a member of an environment; what is not known is left out."""
        tree, changed = (self.sources.digest, self.sources.changed) if self.sources is not None else (None, None)
        told: dict[str, Json] = {
            "name": self.stated.name,
            "remote": self.stated.remote,
            "commit": self.stated.commit,
            "changed": changed,
            "tree": tree,
        }
        return {name: value for name, value in told.items() if value is not None}


def see_packs(directories: Sequence[Path], trees: SourceTrees) -> list[PackSeen]:
    """Return the packs that lie in these custom_nodes folders, by name; one that is switched off is left out."""
    packs: dict[str, PackSeen] = {}
    for directory in directories:
        for path in _listed(directory):
            if len(packs) >= PACKS_LIMIT:
                break
            pack = _pack(path)
            if pack is not None:
                packs.setdefault(pack.name, PackSeen(stated=pack, sources=trees.look(path, git_folder_of(path))))
    return [packs[name] for name in sorted(packs)]


def packs_told(installed: Json) -> list[PackSeen]:
    """Return the packs that ComfyUI-Manager lists as installed and enabled.

    Source: ComfyUI-Manager, `GET /customnode/installed`: folder -> ver (a version, or a commit), cnr_id, aux_id, enabled.
    """
    members: Mapping[str, Json] = installed if isinstance(installed, dict) else {}
    packs = []
    for name, told in sorted(members.items())[:PACKS_LIMIT]:
        if not isinstance(told, dict) or told.get("enabled") is False:
            continue
        version, github = told.get("ver"), told.get("aux_id")
        packs.append(
            {
                "name": name,
                "remote": f"https://github.com/{github}"
                if isinstance(github, str) and _GITHUB.fullmatch(github)
                else None,
                "commit": version if isinstance(version, str) and _COMMIT.fullmatch(version) else None,
            }
        )
    return [PackSeen(stated=pack) for told in packs if (pack := _checked(told)) is not None]


def _listed(directory: Path) -> Iterator[Path]:
    try:
        yield from sorted(directory.iterdir())
    except OSError:
        return


def _pack(path: Path) -> NodePack | None:
    name = path.name
    if name.startswith((".", "__")) or name.endswith((".disabled", ".example")):
        return None
    if path.is_file():
        return _checked({"name": name}) if name.endswith(".py") else None
    if not path.is_dir():
        return None
    folder = git_folder_of(path)
    if folder is None:
        return _checked({"name": name})
    return _checked({"name": name, "remote": _remote(folder), "commit": commit_of(folder)})


def _checked(told: Mapping[str, object]) -> NodePack | None:
    try:
        return NodePack.model_validate(told)
    except ValidationError:
        return None


def git_folder_of(pack: Path) -> Path | None:
    """Return where git keeps what it knows of a checkout, None where the folder is none."""
    git = pack / ".git"
    if git.is_dir():
        return git
    # A submodule or a second work tree: a file that names the folder.
    told = _read(git)
    if told is None or not told.startswith("gitdir:"):
        return None
    folder = (pack / told.removeprefix("gitdir:").strip()).resolve()
    return folder if folder.is_dir() else None


def _common(folder: Path) -> Path:
    told = _read(folder / "commondir")
    return (folder / told.strip()).resolve() if told else folder


def commit_of(folder: Path) -> str | None:
    """Return the commit that is checked out, of a git folder.

    Source: gitrepository-layout(5): HEAD holds a commit or `ref: refs/…`, which is a file, or a line of packed-refs."""
    head = (_read(folder / "HEAD") or "").strip()
    if _COMMIT.fullmatch(head):
        return head
    reference = head.removeprefix("ref:").strip()
    if not head.startswith("ref:") or not _REF.fullmatch(reference) or ".." in reference:
        return None
    common = _common(folder)
    loose = (_read(common / reference) or "").strip()
    if _COMMIT.fullmatch(loose):
        return loose
    for line in (_read(common / "packed-refs") or "").splitlines():
        commit, _, name = line.partition(" ")
        if name.strip() == reference and _COMMIT.fullmatch(commit):
            return commit
    return None


def _remote(folder: Path) -> str | None:
    """The address of `origin`, else of the only remote. Includes are not followed."""
    section, addresses = None, dict[str, str]()
    for line in (_read(_common(folder) / "config") or "").splitlines():
        words = line.strip()
        if words.startswith("["):
            match = _REMOTE.fullmatch(words)
            section = match[1] if match else None
        elif section is not None:
            name, _, value = words.partition("=")
            if name.strip().lower() == "url":
                addresses.setdefault(section, value.strip().strip('"'))
    return addresses.get("origin") or (next(iter(addresses.values())) if len(addresses) == 1 else None)


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(FILE_LIMIT).decode("utf-8", "replace")
    except OSError:
        return None
