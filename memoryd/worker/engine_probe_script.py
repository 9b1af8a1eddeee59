"""Runs inside ComfyUI's own Python, apart from memoryd, and prints what is installed there: one JSON object a line.

It must not import anything of memoryd, of ComfyUI or of its node packs, and run on every Python that ComfyUI runs on.
Argument: the processors that ComfyUI may use, by number, with commas; nothing where that is not known.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import re
import sys
import zlib
from pathlib import Path


def main() -> None:
    """Print the quick answers, then what needs torch, so that a slow import costs the rest nothing."""
    processors = sys.argv[1] if len(sys.argv) > 1 else ""
    if processors and hasattr(os, "sched_setaffinity"):
        # torch counts them when it is imported.
        os.sched_setaffinity(0, {int(number) for number in processors.split(",")})
    tell(
        {
            "python": platform.python_version(),
            "packages": list_packages(),
            "zlib": zlib.ZLIB_RUNTIME_VERSION,
            "places": sorted({place for place in sys.path if place and Path(place).is_dir()}),
        }
    )
    for look in (look_at_pillow, look_at_torch):
        try:
            tell(look())
        except Exception as error:
            print(f"{look.__name__}: {type(error).__name__}: {error}", file=sys.stderr)


def tell(members: dict[str, object]) -> None:
    """Print one line at once."""
    print(json.dumps({name: value for name, value in members.items() if value is not None}), flush=True)


def list_packages() -> dict[str, str]:
    """Return the installed packages by normalised name, as sys.path finds them. Source: PEP 376, PEP 427, PEP 503."""
    found: dict[str, str] = {}
    for place in sys.path:
        for folder in Path(place).glob("*.dist-info") if place else ():
            name, _, version = folder.name[: -len(".dist-info")].partition("-")
            if version:
                found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
    return found


def look_at_pillow() -> dict[str, object]:
    """Return the versions that decide over the bytes of a PNG: Pillow's own zlib, not Python's."""
    features = importlib.import_module("PIL.features")
    told = features.version("zlib")
    # Wheels since 11.1 are built with zlib-ng, which packs otherwise than zlib.
    faster = features.version("zlib_ng") if "zlib_ng" in getattr(features, "features", {}) else None
    return {
        "pillow": importlib.import_module("PIL").__version__,
        "zlib": f"{told} (zlib-ng {faster})" if faster else told,
    }


def look_at_torch() -> dict[str, object]:
    """Return torch's version, what it was built for, and how it computes on this processor."""
    torch = importlib.import_module("torch")
    told: dict[str, object] = {
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "rocm": getattr(torch.version, "hip", None),
        "threads": {"intra_op": torch.get_num_threads(), "inter_op": torch.get_num_interop_threads()},
    }
    if torch.version.cuda is not None:
        # Asks the library alone: no context is made on a card that computes for somebody.
        cudnn = torch.backends.cudnn.version()
        told["cudnn"] = str(cudnn) if cudnn is not None else None
    capability = getattr(getattr(torch.backends, "cpu", None), "get_cpu_capability", None)
    if capability is not None:
        told["simd"] = str(capability())
    return told


if __name__ == "__main__":
    main()
