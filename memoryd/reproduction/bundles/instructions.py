"""What a bundle says to people: how to make the picture again by hand, and which models that takes. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from memoryd.reproduction.bundles.wire import InputPart, Manifest, ModelPart

RUN_PY = '''#!/usr/bin/env python3
"""Makes the picture of this bundle again on a bare ComfyUI: python3 run.py --comfyui http://127.0.0.1:8188"""

import sys

from bare.running import main

sys.exit(main())
'''


def sums(models: Sequence[ModelPart]) -> str:
    """Return the models as `sha256sum -c` reads them in ComfyUI's models folder; unknown contents as comments."""
    return "".join(f"{line}\n" for line in _sums(models))


def _sums(models: Sequence[ModelPart]) -> Iterator[str]:
    yield "# In ComfyUI's models folder: sha256sum -c THIS_FILE"
    for model in models:
        place = f"{model.folder}/{model.name}".replace("\\", "/")
        if model.sha256 is None or plain(place) != place:
            yield f"# unknown: {plain(place)}"
        else:
            yield f"{model.sha256}  {place}"


def readme(said: Manifest) -> str:
    """Return the README of a bundle."""
    return "\n".join(
        [
            f"# {plain(said.asset.names[0] if said.asset.names else said.asset.sha256[:16])}",
            "",
            *_about(said),
            "",
            "## Make it again on a bare ComfyUI",
            "",
            "Unpacked, with Python 3.8 or newer and nothing else (ComfyUI's own has Pillow: then pixels are compared too):",
            "",
            "    python3 run.py --comfyui http://127.0.0.1:8188 --models-dir /path/to/ComfyUI/models",
            "",
            "It checks node classes and models, puts the inputs where the graph names them, computes everything anew,",
            "compares what comes out with the original, and writes it into `made/`. Exit codes: 0 identical file or pixels,",
            "10 within tolerance, 11 different, 12 not attempted, 13 similar.",
            "",
            "By hand:",
            "",
            *(f"    {line}" for line in _by_hand(said)),
            "",
            "## With memoryd",
            "",
            "    memoryd bundle verify BUNDLE.zip",
            "    memoryd bundle run BUNDLE.zip --wait                            # on this server's workers",
            "    memoryd bundle run BUNDLE.zip --comfyui http://127.0.0.1:8188   # without a server",
            "",
            "## Models",
            "",
            *_models(said.models),
            "",
            "## Environment",
            "",
            *_environment(said),
            "",
            "## What is missing, or may make it differ",
            "",
            *([f"- {line}" for line in _doubts(said)] or ["Nothing that is known."]),
            "",
        ]
    )


def _about(said: Manifest) -> Iterator[str]:
    asset, plan = said.asset, said.plan
    yield f"- the original: SHA-256 `{asset.original_sha256}`, {asset.original_size} bytes, {plain(asset.original_media_type)}"
    if asset.sha256 != asset.original_sha256:
        yield f"- asked for was a copy of it: SHA-256 `{asset.sha256}`"
    yield f"- its file: {f'`{asset.original_file}`' if asset.original_file else 'not in this bundle'}"
    batch = f", number {plan.batch_index} of a batch of {plan.batch_size or 'unknown size'}" if plan.batch_index else ""
    yield f"- its place: node {plain(plan.node or 'unknown')}{batch}{'' if plan.certain else ' (not certain)'}"
    for each in said.verdicts:
        receipt = f", receipt `{each.receipt}`" if each.receipt else ""
        yield f"- made again at {each.decided_at.isoformat(timespec='seconds')}: {plain(each.verdict)}{receipt}"
    yield f"- bundled by {plain(said.maker)}; `bundle.json` names every file by its SHA-256, `bundle.sig` signs it"


def _by_hand(said: Manifest) -> Iterator[str]:
    for one in said.inputs:
        yield _upload(one)
    if any(model.sha256 for model in said.models):
        yield "(cd /path/to/ComfyUI/models && sha256sum -c /path/to/this/models.sha256)"
    yield """curl -f http://127.0.0.1:8188/free -d '{"unload_models": true, "free_memory": true}'; sleep 2"""
    yield "curl -f http://127.0.0.1:8188/prompt -H 'Content-Type: application/json' --data-binary @request.json"
    yield f"sha256sum /path/to/ComfyUI/output/*   # one of them should be {said.asset.original_sha256}"


def _upload(one: InputPart) -> str:
    name = plain(one.name).replace('"', "?")
    form = [
        f"image=@{one.file};filename={name}",
        f"subfolder={plain(one.subfolder)}",
        f"type={one.type}",
        "overwrite=true",
    ]
    return "curl -f http://127.0.0.1:8188/upload/image " + " ".join(f"-F {shlex.quote(part)}" for part in form)


def _models(models: Sequence[ModelPart]) -> Iterator[str]:
    for model in models:
        content = f"SHA-256 `{model.sha256}`" if model.sha256 else "SHA-256 unknown"
        yield f"- `models/{plain(model.folder)}/{plain(model.name)}`: {content}"
        for source in model.sources:
            yield f"  - can be had at {plain(source)}"
        if not model.sources and model.sha256:
            yield "  - nobody recorded where it can be had; sites find weights by their SHA-256"
        if model.licence is not None:
            url = f", {plain(model.licence.url)}" if model.licence.url else ""
            yield f"  - licence, as a {plain(model.licence.stated_by)} states it: {plain(model.licence.name)}{url}"
        else:
            yield "  - licence: nobody named one"
    if not models:
        yield "None."


def _doubts(said: Manifest) -> Iterator[str]:
    yield from (plain(cause.detail) for cause in (*said.plan.missing, *said.plan.notices))
    for model in said.models:
        if model.sha256 is None:
            yield f"Which file `{plain(model.name)}` was is not recorded: another one of that name makes another picture."
    if said.environment is None:
        yield "What it was made on is not recorded: another processor, torch or thread count may round otherwise."
    if not said.plan.certain:
        yield "Which output of the graph it was is not certain: all are compared."


def _environment(said: Manifest) -> Iterator[str]:
    if said.environment is None:
        yield "Nobody recorded what it was made on."
        return
    yield f"`{said.environment.sha256}`"
    if said.environment.folder is not None:
        yield ""
        yield f"    cd {said.environment.folder} && ./build.sh TARGET && TARGET/start.sh --port 8188"
        yield f"    cd {said.environment.folder} && docker build -t environment . && docker run -p 8188:8188 environment"
        yield ""
        yield f"`{said.environment.folder}/README.md` tells more, and what of it is unknown."


def plain(text: str) -> str:
    """Return a text of a file's maker as a page or terminal may show it."""
    return "".join(c if c.isprintable() and c != "`" else "?" for c in text)
