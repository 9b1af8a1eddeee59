"""What must hold of any model file and of what lies beside it: facts or findings, nothing run, no memory for a lie."""

from __future__ import annotations

import json
import os
import pickle
import traceback
from pathlib import Path

from memoryd.weights.describing import FINDINGS_LIMIT, describe_model
from memoryd.weights.hashing import hash_file
from memoryd.weights.training import TRIGGERS_LIMIT
from tests.fuzz.reading import KEPT, Outcome
from tests.weights.model_files import gguf_file, pickled, safetensors_file, state, torch_bare, torch_tar, torch_zip

TRAP = "memoryd-fuzz-trap"
"""A folder that a pickle among the seeds would make, were it ever loaded."""

KEPT_SUFFIX = ".model"
"""Ends the names of kept failures; before it stands the ending that the file goes by."""

_TENSORS = {
    "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (4, 768),
    "first_stage_model.decoder.conv_in.weight": (2, 4),
    "cond_stage_model.transformer.text_model.final_layer_norm.weight": (3,),
}
_LORA = {
    "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (2, 8),
    "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight": (8, 2),
}
_SAID = {
    "modelspec.architecture": "flux-1-dev/lora",
    "modelspec.license": "CC-BY-4.0",
    "ss_tag_frequency": json.dumps({"10_sks": {"sks": 30, "a fox": 20}}),
    "sd_merge_models": json.dumps({"ab" * 32: {"name": "one"}}),
    "ss_sd_model_hash": "e1441589a6",
}
_CARD = b"""---
license: other
license_name: flux-1-dev-non-commercial-license
base_model:
- black-forest-labs/FLUX.1-dev
tags: [lora, "a, b"]
instance_prompt: 'it''s sks'
x: &a [*a, *a]
---
# model.safetensors
"""


class _Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (TRAP,))


def kept_seeds() -> list[Path]:
    """Return the files that once were described wrongly, by name."""
    return sorted(path for path in KEPT.iterdir() if path.suffix == KEPT_SUFFIX)


def ending_of(kept: Path) -> str:
    """Return the ending that a kept file goes by."""
    return kept.name.partition(".")[2].removesuffix(KEPT_SUFFIX)


def seeds() -> list[tuple[str, bytes]]:
    """Return whole files by the ending they go by: every format, every sidecar."""
    value = state(_TENSORS, global_step=3)
    info = {"id": 2, "modelId": 1, "baseModel": "SDXL 1.0", "trainedWords": ["sks"], "model": {"name": "x"},
            "air": "urn:air:sdxl:lora:civitai:1@2", "files": [{"hashes": {"SHA256": "AB" * 32}}],
            "allowCommercialUse": ["Image"], "allowNoCredit": False}  # fmt: skip
    kept = {"sha256": "ab" * 32, "base_model": "SDXL", "model_name": "x", "civitai": info}
    cm_info = {"ModelId": 1, "VersionId": 2, "ModelName": "x", "Hashes": {"SHA256": "ab" * 32}, "TrainedWords": ["a"]}
    return [
        ("safetensors", safetensors_file(_TENSORS, _SAID)),
        ("safetensors", safetensors_file(_LORA, _SAID)),
        (
            "gguf",
            gguf_file({"general.architecture": "flux", "tokenizer.ggml.tokens": ["a", "b"]}, {"a.weight": (4, 8)}),
        ),
        ("gguf", gguf_file({"general.license": "mit"}, {"blk.0.attn_q.weight": (8, 8)}, version=2, order=">")),
        ("ckpt", torch_zip(value)),
        ("pt", torch_zip(value, packed=True)),
        ("pth", torch_bare(value)),
        ("bin", torch_tar(value)),
        *(("pt", pickle.dumps([_Trap(), {"a": (1, 2.5, None, b"x", {"s"})}], protocol)) for protocol in (0, 2, 4)),
        ("ckpt", pickled({"state_dict": {}, "x": _Trap()})),
        ("civitai.info", json.dumps(info).encode()),
        ("metadata.json", json.dumps(kept).encode()),
        ("cm-info.json", json.dumps(cm_info).encode()),
        ("json", json.dumps({"activation text": "sks, fox", "sd version": "SDXL"}).encode()),
        ("json", json.dumps({"output_name": "model", "pretrained_model_name_or_path": "a/b"}).encode()),
        ("README.md", _CARD),
    ]


def outcome_of(ending: str, content: bytes, folder: Path) -> Outcome:
    """Describe a model that is, or has beside it, this content; never raises."""
    model = folder / ("model.safetensors" if ending in _BESIDE else f"model.{ending}")
    beside = folder / ("README.md" if ending == "README.md" else f"model.{ending}")
    try:
        model.write_bytes(safetensors_file({"a": (1,)}))
        beside.write_bytes(content)
        return _described(model)
    except MemoryError:
        return Outcome(word="failed", fault="MemoryError: beyond the limit of memory")
    except Exception:
        return Outcome(word="failed", fault=traceback.format_exc(limit=-4))
    finally:
        model.unlink(missing_ok=True)
        beside.unlink(missing_ok=True)


_BESIDE = frozenset({"civitai.info", "metadata.json", "cm-info.json", "json", "README.md"})


def _described(model: Path) -> Outcome:
    digest = hash_file(model, aliases=True)
    facts = describe_model(model, f"loras/{model.name}", digest)
    assert not Path(TRAP).exists(), "a pickle was run"
    assert len(facts.findings) <= FINDINGS_LIMIT
    assert len(facts.triggers) <= TRIGGERS_LIMIT
    # All of it goes into the database as text, and over HTTP as JSON.
    said = facts.sidecars
    texts = [facts.licence, facts.base_name, *facts.triggers, *facts.parents, repr(said)]
    texts += [text for finding in facts.findings for text in finding.as_json().values()]
    texts.append(json.dumps(dict(facts.stated), ensure_ascii=False))
    for text in texts:
        assert text is None or "\x00" not in text, text
        (text or "").encode()
    assert said is None or not said.sha256s or digest.sha256.hex() in said.sha256s, (
        "another file's sidecar was believed"
    )
    shown = facts.format if facts.stated else f"{facts.format} without a header"
    if said is not None:
        shown += ", with a sidecar"
    return Outcome(word=f"model: {shown}{', with findings' if facts.findings else ''}")
