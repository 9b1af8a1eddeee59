"""Records as reading a file would make them, for tests of what is above reading."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib

from memoryd.catalog.facts import (
    AssetKind,
    AssetRecord,
    GenerationOrigin,
    GenerationRecord,
    LocationRecord,
    MadeSource,
    OutputRecord,
    Succession,
    SuccessionRecord,
)
from memoryd.catalog.search_document import search_words
from memoryd.foundation.ids import JobId, PersonId, ProjectId, WatchRootId, new_id
from memoryd.workflows.facts import InputUse, ModelUse, Parameters, Polarity, PromptUse, SamplerUse

START = datetime.datetime(2026, 11, 1, 12, 0, tzinfo=datetime.UTC)


def digest(word: str) -> bytes:
    return hashlib.sha256(word.encode()).digest()


def parameters(
    prompt: str = "a red fox",
    *,
    negative: str = "blurry",
    seed: int | None = 42,
    checkpoint: str = "tiny-sd15-random.safetensors",
    lora: str | None = None,
    inputs: tuple[bytes, ...] = (),
) -> Parameters:
    models = [
        ModelUse(node="4", input="ckpt_name", class_type="CheckpointLoaderSimple", role="checkpoints", name=checkpoint)
    ]
    if lora is not None:
        models.append(
            ModelUse(
                node="10",
                input="lora_name",
                class_type="LoraLoader",
                role="loras",
                name=lora,
                strength_model=0.8,
                strength_clip=0.6,
            )
        )
    return Parameters(
        node="9",
        samplers=(
            SamplerUse(
                node="3",
                class_type="KSampler",
                seed=seed,
                steps=20,
                cfg=7.0,
                sampler="euler",
                scheduler="normal",
                denoise=1.0,
                final=True,
            ),
        ),
        prompts=(
            PromptUse(node="6", input="text", polarity=Polarity.POSITIVE, text=prompt),
            PromptUse(node="7", input="text", polarity=Polarity.NEGATIVE, text=negative),
        ),
        models=tuple(models),
        inputs=tuple(
            InputUse(node="11", input="image", class_type="LoadImage", name=f"input_{n}.png", sha256=sha256)
            for n, sha256 in enumerate(inputs)
        ),
        width=64,
        height=64,
        generates=True,
    )


def record(
    word: str,
    *,
    prompt: str = "a red fox",
    seed: int | None = 42,
    checkpoint: str = "tiny-sd15-random.safetensors",
    lora: str | None = None,
    inputs: tuple[bytes, ...] = (),
    graph: str | None = None,
    run: str | None = None,
    job: JobId | None = None,
    node: str = "9",
    batch_index: int | None = None,
    project: ProjectId | None = None,
    person: PersonId | None = None,
    path: str | None = None,
    root: WatchRootId | None = None,
    rewrites: str | None = None,
    discloses: str | None = None,
    minutes: int = 0,
    plugin_version: str = "1",
    generation: bool = True,
) -> AssetRecord:
    """A 64 x 64 picture whose bytes are named by `word`, made `minutes` after START."""
    sha256 = digest(word)
    read = parameters(prompt, seed=seed, checkpoint=checkpoint, lora=lora, inputs=inputs)
    succeeds = None
    if rewrites is not None:
        succeeds = SuccessionRecord(of=digest(rewrites), succession=Succession.REWRITTEN)
    if discloses is not None:
        succeeds = SuccessionRecord(of=digest(discloses), succession=Succession.DISCLOSED)
    told = GenerationRecord(
        run_key=run or (f"job:{job}" if job is not None else f"file:{sha256.hex()}"),
        origin=GenerationOrigin.FILE if job is None else GenerationOrigin.JOB,
        exact=digest(f"graph {graph or word}"),
        prompt_document=digest(f"document {graph or word}"),
        extra_documents=(("workflow", digest(f"workflow {graph or word}")),),
        output=OutputRecord(node=node, batch_index=batch_index, certain=job is not None),
        parameters=dataclasses.replace(read, node=node),
        job_id=job,
        project_id=project,
        person_id=person,
    )
    return AssetRecord(
        sha256=sha256,
        size=1000,
        kind=AssetKind.IMAGE,
        media_type="image/png",
        made_at=START + datetime.timedelta(minutes=minutes),
        made_source=MadeSource.FILE_TIME,
        width=64,
        height=64,
        plugin="comfyui-png",
        plugin_version=plugin_version,
        generation=told if generation else None,
        succeeds=succeeds,
        project_id=project,
        person_id=person,
        locations=() if path is None else (place(path, root=root),),
        words=search_words(read, ("KSampler", "SaveImage")) if generation else "",
    )


def place(
    path: str, *, root: WatchRootId | None = None, size: int = 1000, mtime_ns: int = 1, inode: int = 7
) -> LocationRecord:
    return LocationRecord(watch_root_id=root, path=path.encode(), size=size, mtime_ns=mtime_ns, inode=inode, device=1)


def job_id() -> JobId:
    return JobId(new_id())
