"""What of a run's time went into loading weights, told by the events of the run."""

from __future__ import annotations

import re
from collections.abc import Mapping

from memoryd.comfyui.frames import Message
from memoryd.foundation.canonical_json import Json

_LOADS = re.compile(r"Load(er)?")
_LOADS_NO_WEIGHTS = re.compile(r"Image|Mask|Video|Audio|Latent|Text|3D|Json|Folder", re.IGNORECASE)
"""Classes that load a file that is no model: `LoadImage`, `LoadAudio`, `LoadLatent`, …"""


def loads_weights(class_type: str) -> bool:
    """Return whether a node of this class loads weights, by its name: `CheckpointLoaderSimple`, `UnetLoaderGGUF`, …"""
    return _LOADS.search(class_type) is not None and _LOADS_NO_WEIGHTS.search(class_type) is None


class RunClock:
    """Follows one run. Times are seconds of one steady clock.

    Loading is the time in nodes that load weights, and of a sampler what its first step took longer than its second:
    weights reach the GPU when they are first used. A run whose beginning was missed tells nothing.
    """

    def __init__(self, graph: Mapping[str, Json]) -> None:
        """`graph` is the prompt, in API format."""
        self._classes = {
            node_id: str(node.get("class_type")) for node_id, node in graph.items() if isinstance(node, dict)
        }
        self._began = False
        self._node: str | None = None
        self._since = 0.0
        self._steps: list[float] = []
        self._loading = 0.0
        self._loaded = False

    def note(self, message: Message, now: float) -> None:
        """Take an event of the run into account."""
        if message.type == "execution_start":
            self._began = True
        elif message.type == "executing":
            self._leave(now)
            self._node, self._since, self._steps = message.node, now, []
        elif message.type == "progress" and message.node == self._node and len(self._steps) < 2:
            self._steps.append(now)
            if len(self._steps) == 2:
                first, second = self._steps[0] - self._since, self._steps[1] - self._steps[0]
                self._loading += max(0.0, first - second)

    def _leave(self, now: float) -> None:
        if self._node is not None and loads_weights(self._classes.get(self._node, "")):
            self._loading += now - self._since
            self._loaded = True

    @property
    def loading_s(self) -> float | None:
        """Seconds that weights were loaded; None where the beginning was missed."""
        return self._loading if self._began else None

    @property
    def model_loaded(self) -> bool | None:
        """Whether a node that loads weights was executed, and did not come from the cache; None where nobody saw."""
        return self._loaded if self._began else None
