"""From an environment's document to the files from which it can be built again. Pure.

What nobody recorded is not made up: the README names it, and the script stops where it would have to guess.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping

from memoryd.comfyui.recorded_variables import RECORDED_VARIABLES
from memoryd.foundation.canonical_json import Json
from memoryd.reproduction.environments.build_script import BUILD, DOCKERFILE, START
from memoryd.reproduction.environments.members import device_type, unknown_members, word_of

UPSTREAM = "https://github.com/comfyanonymous/ComfyUI.git"
TORCH_INDEX = "https://download.pytorch.org/whl/"
"""Where builds of torch with a local version (`+cpu`, `+cu128`, `+rocm6.4`) can be had. Source: pytorch.org, get started."""
_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]*")
_LOCAL = re.compile(r"cpu|cu\d+|rocm[\d.]+|xpu")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_FOLDER = re.compile(r"[A-Za-z0-9_.@ +-]{1,200}")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_UNSAFE = re.compile(r"[^A-Za-z0-9.+_-]")
_PYTHON = re.compile(r"\d+\.\d+(\.\d+)?")


def export_files(document: Mapping[str, Json], sha256: bytes, *, kept: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of an export by name; the archives of packs (`packs/NAME.tar`) are put beside them by the caller.

    `kept`: the trees (lower hex) whose sources are at hand, and their archives' hashes.
    """
    steps = list(_packs(document, kept))
    texts = {
        "environment.json": json.dumps(dict(document), indent=1, sort_keys=True) + "\n",
        "lock.txt": "".join(f"{line}\n" for line in _lock(document)),
        "build.sh": BUILD.format(
            sha256=sha256.hex(),
            python=_python(document),
            comfyui=shlex.quote(UPSTREAM),
            commit=_commit(document.get("comfyui_commit")),
            version=_UNSAFE.sub("?", word_of(document, "comfyui") or "?"),
            packs="\n".join(steps) or ":",
            builds="\n  ".join(_builds(document)) or ":",
        ),
        "variables.sh": "".join(f"{line}\n" for line in _variables(document)),
        "start.sh": START.format(flags=" ".join(shlex.quote(flag) for flag in _flags(document))),
        "Dockerfile": DOCKERFILE.format(
            python=_python(document) or "3",
            note="# ComfyUI's commit is not known: put its folder beside this file as `comfyui-source`.\n"
            if not _commit(document.get("comfyui_commit"))
            else "",
        ),
        "README.md": _readme(document, sha256, kept),
    }
    return {name: text.encode() for name, text in texts.items()}


def _lock(document: Mapping[str, Json]) -> Iterator[str]:
    """Exact versions of everything that was installed. All of them are named, hence installed without dependencies."""
    packages = document.get("packages")
    listed: Mapping[str, Json] = packages if isinstance(packages, dict) else {}
    yield "# pip install --no-deps -r lock.txt: this is everything that was installed, dependencies included."
    exact = dict(_packages(document))
    for name, version in exact.items():
        yield f"{name}=={version}"
    for name, told in sorted(listed.items()):
        if name not in exact:
            yield f"# unknown: {json.dumps(name)} {json.dumps(told)}"


def _packages(document: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    packages = document.get("packages")
    for name, version in sorted(packages.items()) if isinstance(packages, dict) else ():
        if isinstance(version, str) and _PACKAGE.fullmatch(name) and _VERSION.fullmatch(version):
            yield name, version


def _builds(document: Mapping[str, Json]) -> Iterator[str]:
    """Versions with a local part (`torch==2.13.0+cpu`) are not on PyPI: each with its index, as far as that is known."""
    for name, version in _packages(document):
        local = version.partition("+")[2]
        if local:
            yield f"special {name}=={version} {TORCH_INDEX + local if _LOCAL.fullmatch(local) else ''}".rstrip()


def _packs(document: Mapping[str, Json], kept: Mapping[str, bytes]) -> Iterator[str]:
    for pack in _listed_packs(document):
        name, remote, commit = pack.get("name"), pack.get("remote"), _commit(pack.get("commit"))
        if archive_name(pack) is None:
            yield f"missing {shlex.quote(json.dumps(name))}"
            continue
        archive = (archive_name(pack) or "") if str(pack.get("tree")) in kept else ""
        address = remote if isinstance(remote, str) and _is_address(remote) else ""
        changed = "changed" if pack.get("changed") is True else ""
        yield "pack " + " ".join(shlex.quote(word) for word in (str(name), address, commit, archive, changed))


def archive_name(pack: Mapping[str, Json]) -> str | None:
    """Return where the kept sources of a pack lie in an export, None for a name that no folder should have."""
    name = pack.get("name")
    safe = isinstance(name, str) and _FOLDER.fullmatch(name) is not None and not name.startswith((".", "-"))
    return f"packs/{name}.tar" if safe else None


def _is_address(remote: str) -> bool:
    # git runs commands for addresses of other kinds (ext::) and takes one that begins with a dash for an option.
    return re.fullmatch(r"(https?://|ssh://|git://|git@)[A-Za-z0-9][^\s'\"\\]*", remote) is not None


def _listed_packs(document: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    packs = document.get("node_packs")
    return [pack for pack in packs if isinstance(pack, dict)] if isinstance(packs, list) else []


def _variables(document: Mapping[str, Json]) -> Iterator[str]:
    variables = document.get("variables")
    if not isinstance(variables, dict):
        yield "# Unknown: which variables were set."
        return
    yield "# Those that were set, and no others of the kind."
    others = [name for name in RECORDED_VARIABLES if name not in variables]
    yield f"unset {' '.join(others)}" if others else ":"
    for name, value in sorted(variables.items()):
        if _VARIABLE.fullmatch(name) and isinstance(value, str):
            yield f"export {name}={shlex.quote(value)}"


def _flags(document: Mapping[str, Json]) -> list[str]:
    flags = document.get("flags")
    return [str(flag) for flag in flags] if isinstance(flags, list) else []


def _commit(told: Json) -> str:
    return told if isinstance(told, str) and _COMMIT.fullmatch(told) else ""


def _python(document: Mapping[str, Json]) -> str:
    told = (word_of(document, "python") or "").partition(" ")[0]
    return told if _PYTHON.fullmatch(told) else ""


def _readme(document: Mapping[str, Json], sha256: bytes, kept: Mapping[str, bytes]) -> str:
    return "\n".join(
        [
            f"# Environment {sha256.hex()}",
            "",
            *_about(document),
            "",
            "## Build it",
            "",
            "    ./build.sh TARGET                 # needs git and the Python named above (PYTHON=... names one)",
            "    COMFYUI_SOURCE=/a/folder/or/url ./build.sh TARGET   # where ComfyUI comes from, instead of its home",
            "    TARGET/start.sh --port 8188       # ComfyUI, with its variables and flags",
            "",
            "or `docker build -t environment .`, then `docker run -p 8188:8188 environment`.",
            "",
            "As a worker, and to see whether it is the same:",
            "",
            "    . ./variables.sh; memoryd worker --server URL --token TOKEN --comfyui-dir TARGET/ComfyUI \\",
            f"      --comfyui-python TARGET/venv/bin/python --comfyui-args {shlex.quote(shlex.join(_flags(document)))}",
            f"    memoryd environment look --comfyui http://127.0.0.1:8188 --than {sha256.hex()[:16]}",
            "",
            "## What it does not hold",
            "",
            "Models, inputs, outputs, and the machine itself:",
            "",
            *_machine(document),
            "",
            "## What is unknown",
            "",
            *_unknown(document, kept),
            "",
        ]
    )


def _about(document: Mapping[str, Json]) -> Iterator[str]:
    if "stand_in" in document:
        yield "This is memoryd's stand-in, no ComfyUI: `memoryd stand-in` of the version in lock.txt runs it."
        yield ""
    for name in ("comfyui", "comfyui_commit", "comfyui_tree", "python", "torch", "cuda", "attention"):
        if (word := word_of(document, name)) is not None:
            yield f"- {name}: `{_plain(word)}`"
    flags = _flags(document)
    yield f"- flags: {f'`{_plain(shlex.join(flags))}`' if flags else 'none'}"


def _machine(document: Mapping[str, Json]) -> Iterator[str]:
    devices = document.get("devices")
    for device in devices if isinstance(devices, list) else []:
        yield f"- device: `{_plain(json.dumps(device, sort_keys=True))}`"
    for name in ("driver", "cpu", "simd", "threads"):
        if name in document:
            yield f"- {name}: `{_plain(json.dumps(document[name], sort_keys=True))}`"
    variables = document.get("variables")
    if "threads" in document and "OMP_NUM_THREADS" not in (variables if isinstance(variables, dict) else {}):
        yield "- The number of threads is the machine's own: it was set by no variable. Where it differs, so does the hash."
    if device_type(document) == "cuda":
        yield "- The driver is the host's, also for a container (NVIDIA Container Toolkit)."


def _unknown(document: Mapping[str, Json], kept: Mapping[str, bytes]) -> Iterator[str]:
    lines = [f"- {name}: {words}" for name, words in unknown_members(document).items()]
    if document.get("comfyui_dirty") is True:
        lines.append("- ComfyUI's files were changed after its commit; the changes were not kept.")
    changed = document.get("packages_changed")
    lines += [
        f"- package {_plain(package)}: its files were changed after it was installed; the changes were not kept."
        for package in sorted(changed if isinstance(changed, dict) else ())
    ]
    for pack in _listed_packs(document):
        name, at_hand = _plain(str(pack.get("name"))), str(pack.get("tree")) in kept
        if not at_hand and not (pack.get("commit") and pack.get("remote")):
            lines.append(f"- pack {name}: where it came from, unless ComfyUI brings it; its sources were not kept.")
        elif not at_hand and pack.get("changed") is True:
            lines.append(f"- pack {name}: was changed after its commit; its sources were not kept.")
    yield from lines or ["Nothing that environments tell."]


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() and c != "`" else "?" for c in text)
