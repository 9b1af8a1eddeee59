"""What each part of an environment can explain, and how likely: the one table of it.

The order is that of reference measurements: device > torch > SIMD level, threads and variables > attention > CUDA and driver >
node packs > ComfyUI > packages. Pillow and zlib write the file and touch no pixel.
"""

from __future__ import annotations

import enum


class Bearing(enum.StrEnum):
    """What a difference can explain."""

    PIXELS = "pixels"
    """Other values of pixels."""
    FILE = "file"
    """Other bytes around equal pixels."""
    UNLIKELY = "unlikely"
    """It is a difference, and nobody knows a case where it showed."""


class Weight(enum.IntEnum):
    """How likely a difference is the cause; steps are wide enough for a heavier one to outweigh several lighter ones."""

    ENGINE = 200_000
    """Another program altogether: the stand-in is no ComfyUI."""
    DEVICE = 100_000
    GPU_NAME = 80_000
    PRECISION = 50_000
    """Flags that say in which precision is computed, or with which shortcuts."""
    TORCH = 40_000
    SIMD = 20_000
    THREADS = 19_000
    VARIABLE = 18_000
    DETERMINISTIC = 17_000
    CPU_MODEL = 12_000
    """Libraries choose their kernels by it, also at equal SIMD level (MKL, oneDNN)."""
    ATTENTION = 10_000
    CUDA = 6_000
    CUDNN = 5_800
    DRIVER = 5_000
    CPU_OF_GPU_RUN = 2_500
    """SIMD level, threads and processor where a GPU computes: initial noise and offloaded parts only."""
    NODE_PACK = 2_000
    COMFYUI = 1_000
    COMPUTING_PACKAGE = 300
    OTHER_FLAG = 250
    SYSTEM = 200
    FILE_WRITER = 150
    PACKAGE = 2
    TRIFLE = 1


UNKNOWN_SHARE = 10
"""What is known on one side alone weighs a tenth: it may differ, and may not."""

COMPUTING_PACKAGES = frozenset(
    {
        *("numpy", "scipy", "torchvision", "torchaudio", "torchsde", "einops", "kornia", "safetensors", "spandrel"),
        *("transformers", "tokenizers", "sentencepiece", "comfy-kitchen", "comfy-aimdo", "triton", "xformers"),
        *("flash-attn", "sageattention", "bitsandbytes", "accelerate", "diffusers", "opencv-python", "av", "gguf"),
        *("opencv-python-headless", "onnxruntime", "onnxruntime-gpu", "mkl", "intel-openmp"),
    }
)
"""Packages that compute, or decide what is computed. Source: ComfyUI 0.29 requirements.txt; usual node packs."""

SAYS_TWICE = {"torch": "torch", "pillow": "pillow", "numpy": "numpy"}
"""Packages whose version is a member of the environment itself."""

PRECISION_FLAGS = ("--fp", "--bf", "--force-fp", "--force-upcast", "--dont-upcast", "--fast", "--supports-fp8", "--cpu")
ATTENTION_FLAGS = ("--use-", "--disable-xformers")
CACHE_FLAGS = ("--cache-", "--reserve-vram", "--enable-assets", "--enable-manager", "--multi-user", "--disable-smart")
"""Beginnings of launch flags. Source: ComfyUI 0.29 `main.py --help`."""


def flag_weight(flag: str) -> tuple[Bearing, Weight]:
    """Return what a launch flag bears on."""
    if flag == "--disable-metadata":
        return Bearing.FILE, Weight.FILE_WRITER
    if flag == "--deterministic":
        return Bearing.PIXELS, Weight.DETERMINISTIC
    if flag.startswith(PRECISION_FLAGS):
        return Bearing.PIXELS, Weight.PRECISION
    if flag.startswith(ATTENTION_FLAGS):
        return Bearing.PIXELS, Weight.ATTENTION
    if flag.startswith(CACHE_FLAGS):
        return Bearing.UNLIKELY, Weight.TRIFLE
    return Bearing.PIXELS, Weight.OTHER_FLAG


def package_weight(name: str) -> tuple[Bearing, Weight]:
    """Return what a package bears on. `name` is normalised."""
    if name == "pillow":
        return Bearing.FILE, Weight.FILE_WRITER
    if name.startswith(("nvidia-", "cuda-")):
        return Bearing.PIXELS, Weight.CUDNN
    if name == "torch":
        return Bearing.PIXELS, Weight.TORCH
    if name in COMPUTING_PACKAGES:
        return Bearing.PIXELS, Weight.COMPUTING_PACKAGE
    return Bearing.UNLIKELY, Weight.PACKAGE


MEMBERS: dict[str, tuple[Bearing, Weight]] = {
    "stand_in": (Bearing.PIXELS, Weight.ENGINE),
    "comfyui": (Bearing.PIXELS, Weight.COMFYUI),
    "comfyui_commit": (Bearing.PIXELS, Weight.COMFYUI),
    "comfyui_dirty": (Bearing.PIXELS, Weight.COMFYUI),
    "comfyui_tree": (Bearing.PIXELS, Weight.COMFYUI),
    "python": (Bearing.UNLIKELY, Weight.PACKAGE),
    "torch": (Bearing.PIXELS, Weight.TORCH),
    "cuda": (Bearing.PIXELS, Weight.CUDA),
    "cudnn": (Bearing.PIXELS, Weight.CUDNN),
    "rocm": (Bearing.PIXELS, Weight.CUDA),
    "driver": (Bearing.PIXELS, Weight.DRIVER),
    "simd": (Bearing.PIXELS, Weight.SIMD),
    "threads": (Bearing.PIXELS, Weight.THREADS),
    "cpu": (Bearing.PIXELS, Weight.CPU_MODEL),
    "attention": (Bearing.PIXELS, Weight.ATTENTION),
    "variables": (Bearing.PIXELS, Weight.VARIABLE),
    "deterministic": (Bearing.PIXELS, Weight.DETERMINISTIC),
    "packages_changed": (Bearing.PIXELS, Weight.COMPUTING_PACKAGE),
    "numpy": (Bearing.PIXELS, Weight.COMPUTING_PACKAGE),
    "pillow": (Bearing.FILE, Weight.FILE_WRITER),
    "zlib": (Bearing.FILE, Weight.FILE_WRITER),
    "os": (Bearing.PIXELS, Weight.SYSTEM),
    "image": (Bearing.UNLIKELY, Weight.TRIFLE),
}
"""Members of an environment by name; a member that is not named here is a trifle."""

HARMLESS = frozenset({"threads.inter_op"})
"""Parts of a member that change no pixel: ComfyUI computes no two operators at once."""

OF_COMFYUI = frozenset({"comfyui", "comfyui_commit", "comfyui_dirty"})
"""Members that say nothing more where the files of ComfyUI are equal."""

ON_PROCESSOR = frozenset({"simd", "threads", "cpu"})
"""Members that decide where a processor computes, and hardly matter where a GPU does."""
