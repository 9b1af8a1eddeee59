"""What of an environment is known, in words: its short name, and the members that it does not tell."""

from __future__ import annotations

from collections.abc import Mapping

from memoryd.foundation.canonical_json import Json

_EVERYWHERE = {
    "comfyui": "the version of ComfyUI",
    "comfyui_commit": "the commit of ComfyUI",
    "comfyui_tree": "the files of ComfyUI",
    "python": "the version of Python",
    "torch": "the version of torch",
    "flags": "launch flags",
    "devices": "the device",
    "packages": "the installed packages",
    "packages_changed": "packages whose files were changed by hand",
    "pillow": "the version of Pillow",
    "zlib": "the zlib that packs PNG files",
    "numpy": "the version of NumPy",
    "threads": "how many threads torch uses",
    "simd": "the SIMD level of torch",
    "cpu": "the processor",
    "attention": "the attention backend",
    "variables": "environment variables",
}
_ON_CUDA = {"cuda": "the CUDA version", "cudnn": "the cuDNN version", "driver": "the GPU driver"}
_OF_NO_STAND_IN = ("comfyui_commit", "comfyui_tree", "torch", "threads", "simd", "attention")
"""What the stand-in has nothing of."""


def unknown_members(document: Mapping[str, Json]) -> dict[str, str]:
    """Return the members that an environment does not tell, by name, with what each would say."""
    expected = _EVERYWHERE | (_ON_CUDA if device_type(document) == "cuda" else {})
    if "stand_in" in document:
        expected = {name: words for name, words in expected.items() if name not in _OF_NO_STAND_IN}
    unknown = {name: words for name, words in expected.items() if document.get(name) is None}
    if document.get("packages") is not None and document.get("zlib") is not None:
        # The list is complete: what is not in it is not installed.
        unknown.pop("numpy", None)
    return unknown


def device_type(document: Mapping[str, Json]) -> str | None:
    """Return the type of the device that computes, None where it is not known."""
    kind = _first_device(document).get("type")
    return kind if isinstance(kind, str) else None


def device_names(document: Mapping[str, Json]) -> str | None:
    """Return the names of the devices, for people; None where they are not known."""
    devices = document.get("devices")
    names = [device.get("name") for device in devices if isinstance(device, dict)] if isinstance(devices, list) else []
    return ", ".join(name for name in names if isinstance(name, str)) or None


def word_of(document: Mapping[str, Json], member: str) -> str | None:
    """Return a member that is one word, None where it is not known."""
    value = document.get(member)
    return value if isinstance(value, str) else None


def _first_device(document: Mapping[str, Json]) -> Mapping[str, Json]:
    devices = document.get("devices")
    first = devices[0] if isinstance(devices, list) and devices else None
    return first if isinstance(first, dict) else {}
