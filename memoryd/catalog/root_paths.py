"""How a place below a watch root is spelled on each machine, and what a spelled path means below it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def spelled_paths(host: str, path: str, aliases: Mapping[str, object], inside: str) -> tuple[tuple[str, str], ...]:
    """Return (machine, path) for the root's own host and each machine with an alias, the host first."""
    spelled = [(host, _joined(path, inside))]
    spelled += [(machine, _joined(str(base), inside)) for machine, base in sorted(aliases.items()) if machine != host]
    return tuple(spelled)


def _joined(base: str, inside: str) -> str:
    if _is_windows(base):
        return base.rstrip("\\/") + "\\" + inside.replace("/", "\\")
    return base.rstrip("/") + "/" + inside


def _is_windows(base: str) -> bool:
    return "\\" in base or (len(base) > 1 and base[1] == ":" and base[0].isalpha())


def paths_inside(bases: Iterable[str], path: str) -> list[bytes]:
    """Return what a path is below a root, for each spelling of the root (`bases`) that it begins with."""
    inside = []
    for base in sorted(set(bases)):
        if _is_windows(base):
            # Case does not tell two names apart there, and both slashes mean the same.
            plain, start = path.replace("\\", "/"), base.replace("\\", "/").rstrip("/") + "/"
            if plain.lower().startswith(start.lower()):
                inside.append(path_bytes(plain[len(start) :]))
        else:
            start = base.rstrip("/") + "/"
            if path.startswith(start):
                inside.append(path_bytes(path[len(start) :]))
    return inside


def path_bytes(path: str) -> bytes:
    """Return a path as the file system's bytes, without NUL."""
    return path.encode("utf-8", "replace").replace(b"\0", b"")
