"""The stand-in's folders: which files lie there, and the names under which pictures are saved."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import re
import string
import time
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, PngImagePlugin

from memoryd.foundation.canonical_json import Json
from memoryd.stand_in.facts import Pixels, SavedFile
from memoryd.stand_in.pictures import to_bytes

MODELS: Mapping[str, tuple[str, ...]] = {
    "checkpoints": ("memoryd-stand-in-no-real-model.safetensors",),
    "loras": ("memoryd-stand-in-no-real-lora.safetensors", "style/memoryd-stand-in-no-real-lora.safetensors"),
    "vae": ("memoryd-stand-in-no-real-vae.safetensors",),
    "text_encoders": (),
    "diffusion_models": (),
    "controlnet": (),
    "upscale_models": (),
    "embeddings": (),
}
"""What the stand-in offers where a ComfyUI offers weights: names that nobody takes for a trained model."""

MODEL_ENDINGS = frozenset({".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".sft"})
"""Source: ComfyUI 0.29, folder_paths.supported_pt_extensions."""

SAVE_LEVEL = 4
PREVIEW_LEVEL = 1
"""Deflate levels of saved and previewed pictures. Source: observed; the bytes depend on them."""

_ANNOTATION = re.compile(r"^(.*) \[(input|output|temp)\]$", re.DOTALL)


class OutsideFolder(Exception):
    """A name leads out of its folder."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where the stand-in reads and writes.

    `models`: a folder with one folder for each of MODELS, whose files are offered, and whose contents decide what is
    painted. None: the names of MODELS are offered, and no file lies behind them.
    """

    output: Path
    input: Path
    temp: Path
    models: Path | None = None

    def model_names(self, folder: str) -> list[str]:
        """Return what is offered in a models folder, sorted; links are followed, as ComfyUI does."""
        if self.models is None:
            return list(MODELS.get(folder, ()))
        home = self.models / folder
        found = [Path(at) / name for at, _, names in os.walk(home, followlinks=True) for name in names]
        return sorted(
            path.relative_to(home).as_posix() for path in found if path.suffix in MODEL_ENDINGS and path.is_file()
        )

    def weights(self, folder: str, name: str) -> Json:
        """Return what stands for a model in what is painted with it: its name, or its content where it has one."""
        if self.models is None:
            return name
        return hashlib.sha256((self.models / folder / name).read_bytes()).hexdigest()

    def of_type(self, kind: str) -> Path | None:
        """Return the folder of a type (`output`, `input`, `temp`), None for another word."""
        return {"output": self.output, "input": self.input, "temp": self.temp}.get(kind)

    def annotated(self, name: str) -> Path:
        """Return the path that a LoadImage value names: in the input folder unless it ends in ` [output]` or the like.

        Raises: OutsideFolder.
        """
        found = _ANNOTATION.match(name)
        folder = self.of_type(found.group(2)) if found else self.input
        assert folder is not None
        return inside(folder, found.group(1) if found else name)

    def inputs(self) -> list[str]:
        """Return the files that lie directly in the input folder, sorted."""
        return sorted(path.name for path in self.input.iterdir() if path.is_file())


def size_of(folders: Folders, folder: str, name: str) -> int:
    """Return the bytes of a model's file, 0 where no file lies behind the name."""
    return (folders.models / folder / name).stat().st_size if folders.models is not None else 0


def inside(folder: Path, name: str) -> Path:
    """Return `name` in `folder`. Raises: OutsideFolder where it leads elsewhere."""
    path = Path(os.path.normpath(folder.absolute() / name))
    if path != folder.absolute() and folder.absolute() not in path.parents:
        raise OutsideFolder(name)
    return path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Saver:
    """Writes one node's pictures: where, under which prefix, with which texts."""

    folder: Path
    type: str
    prefix: str
    level: int
    prompt: Mapping[str, Json]
    extra: Mapping[str, Json]

    def save(self, pixels: Pixels) -> list[SavedFile]:
        """Write each picture of the batch and return the files. Raises: OutsideFolder, OSError."""
        path, stem, subfolder = _place(self.folder, self.prefix, pixels.shape[2], pixels.shape[1])
        path.mkdir(parents=True, exist_ok=True)
        counter = _next_counter(path, stem)
        saved = []
        for index, picture in enumerate(pixels):
            texts = PngImagePlugin.PngInfo()
            texts.add_text("prompt", json.dumps(self.prompt))
            for key, value in self.extra.items():
                texts.add_text(key, json.dumps(value))
            name = f"{stem.replace('%batch_num%', str(index))}_{counter + index:05}_.png"
            Image.fromarray(to_bytes(picture)).save(path / name, pnginfo=texts, compress_level=self.level)
            saved.append(SavedFile(filename=name, subfolder=subfolder, type=self.type))
        return saved


def temporary_prefix() -> str:
    """Return the prefix of previews of one node: random, so that a browser does not show an older one."""
    return "ComfyUI_temp_" + "".join(random.choices(string.ascii_lowercase, k=5))  # noqa: S311 # a name, no secret


def _place(folder: Path, prefix: str, width: int, height: int) -> tuple[Path, str, str]:
    now = time.localtime()
    for token, value in (
        ("%width%", str(width)),
        ("%height%", str(height)),
        ("%year%", str(now.tm_year)),
        ("%month%", f"{now.tm_mon:02}"),
        ("%day%", f"{now.tm_mday:02}"),
        ("%hour%", f"{now.tm_hour:02}"),
        ("%minute%", f"{now.tm_min:02}"),
        ("%second%", f"{now.tm_sec:02}"),
    ):
        prefix = prefix.replace(token, value)
    subfolder, stem = os.path.split(os.path.normpath(prefix))
    return inside(folder, subfolder), stem, subfolder


def _next_counter(path: Path, stem: str) -> int:
    """One above the highest number in the folder: names are given again once their files are gone, as ComfyUI does."""
    pattern = re.compile(re.escape(stem) + r"_(\d+)", re.IGNORECASE)
    found = [pattern.match(entry.name) for entry in path.iterdir()]
    return max((int(match.group(1)) for match in found if match), default=0) + 1
