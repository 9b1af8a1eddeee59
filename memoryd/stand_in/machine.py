"""What the stand-in says of itself: that it is no ComfyUI, first of all."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping

from memoryd.comfyui.facts import STAND_IN_MARK, STAND_IN_PRETENDS
from memoryd.foundation.canonical_json import Json
from memoryd.stand_in.facts import VERSION
from memoryd.stand_in.uploads import UPLOAD_LIMIT

COMFYUI_VERSION = "0.29.0-stand-in"
"""The version whose protocol is spoken, marked so that nobody takes it for the real one."""

FEATURES: dict[str, Json] = {
    "supports_preview_metadata": True,
    "supports_model_type_tags": True,
    "max_upload_size": UPLOAD_LIMIT,
    "extension": {"manager": {"supports_v4": False}},
    "node_replacements": True,
    "assets": False,
}

_NO_MEMORY = 0
"""There is no GPU, and no memory of one."""


def system_stats(argv: list[str], pretends: Mapping[str, Json]) -> dict[str, Json]:
    """Return the answer to /system_stats; `system.memoryd_stand_in` names the recipe of painting.

    `pretends`: members of an environment that it plays, told apart from what it is.
    """
    return {
        "system": {
            "os": sys.platform,
            "ram_total": _NO_MEMORY,
            "ram_free": _NO_MEMORY,
            "comfyui_version": COMFYUI_VERSION,
            STAND_IN_MARK: VERSION,
            **({STAND_IN_PRETENDS: dict(pretends)} if pretends else {}),
            "python_version": platform.python_version(),
            "pytorch_version": None,
            "embedded_python": False,
            "deploy_environment": "memoryd-stand-in",
            "argv": list(argv),
        },
        "devices": [
            {
                "name": "memoryd stand-in (no model, no GPU)",
                "type": "cpu",
                "index": None,
                "vram_total": _NO_MEMORY,
                "vram_free": _NO_MEMORY,
                "torch_vram_total": _NO_MEMORY,
                "torch_vram_free": _NO_MEMORY,
            }
        ],
    }
