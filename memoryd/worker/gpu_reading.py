"""Which GPU a ComfyUI computes on: as nvidia-smi and ComfyUI tell together; what neither tells stays unknown."""

from __future__ import annotations

import csv
import dataclasses
import subprocess
from collections.abc import Mapping, Sequence

from memoryd.comfyui.answers import device_name
from memoryd.dispatch.wire import Gpu
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.logging import log_for

QUERY = ("nvidia-smi", "--query-gpu=uuid,name,memory.total,driver_version", "--format=csv,noheader,nounits")
"""Source: `nvidia-smi --help-query-gpu`; memory in MiB."""

CAPABILITY_QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader")

ANSWER_LIMIT_S = 10.0
"""A driver that hangs must not keep a worker from its work."""

_log = log_for(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A GPU of this machine, as nvidia-smi lists it."""

    uuid: str
    name: str
    vram_mb: int | None
    driver: str


def read_gpu(stats: Mapping[str, Json], *, here: bool, gpu_uuid: str | None = None) -> Gpu:
    """Return the GPU of a ComfyUI, from its /system_stats; `here`: it runs on this machine, whose cards may be asked.

    `gpu_uuid` names the card where several are alike: by itself nobody can tell which of them ComfyUI uses.
    """
    device = _first_device(stats)
    kind = device.get("type")
    if kind in (None, "cpu"):
        return Gpu()
    name, memory = device_name(device), device.get("vram_total")
    told = Gpu(name=name, uuid=gpu_uuid, vram_mb=memory // 2**20 if isinstance(memory, int) and memory > 0 else None)
    cards = list_cards() if here and kind == "cuda" else []
    card = _the_card(cards, name, gpu_uuid)
    if card is not None:
        return Gpu(name=card.name, uuid=card.uuid, vram_mb=card.vram_mb or told.vram_mb, driver=card.driver)
    # One driver serves all cards of a machine, whichever it is.
    drivers = {one.driver for one in cards}
    return told.model_copy(update={"driver": drivers.pop() if len(drivers) == 1 else None})


def list_cards() -> list[Card]:
    """Return this machine's cards; none where nvidia-smi is missing or does not answer."""
    return read_cards(_ask(QUERY))


def list_capabilities() -> dict[str, str]:
    """Return the compute capability of this machine's cards by their names; equal names have equal ones.

    Asked apart from the rest, and of nvidia-smi instead of torch: old drivers do not know this question, and torch would
    make a context on a card that computes for somebody.
    """
    rows = csv.reader(_ask(CAPABILITY_QUERY).splitlines(), skipinitialspace=True)
    return {row[0].strip(): row[1].strip() for row in rows if len(row) == 2 and row[1].strip()[:1].isdecimal()}


def _ask(query: tuple[str, ...]) -> str:
    try:
        return subprocess.run(
            query, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_LIMIT_S, check=True
        ).stdout
    except FileNotFoundError:
        return ""
    except (OSError, subprocess.SubprocessError) as error:
        _log.info("nvidia-smi does not tell: %s", error)
        return ""


def read_cards(answer: str) -> list[Card]:
    """Return the cards that nvidia-smi's answer lists."""
    cards = []
    for row in csv.reader(answer.splitlines(), skipinitialspace=True):
        if len(row) == 4 and row[0].startswith("GPU-"):
            memory = row[2].strip()
            cards.append(
                Card(
                    uuid=row[0].strip(),
                    name=row[1].strip(),
                    vram_mb=int(memory) if memory.isdecimal() else None,
                    driver=row[3].strip(),
                )
            )
    return cards


def _the_card(cards: Sequence[Card], name: str | None, gpu_uuid: str | None) -> Card | None:
    if gpu_uuid is not None:
        return next((card for card in cards if card.uuid == gpu_uuid), None)
    alike = [card for card in cards if name is None or card.name == name]
    return alike[0] if len(alike) == 1 else None


def _first_device(stats: Mapping[str, Json]) -> Mapping[str, Json]:
    devices = stats.get("devices")
    first = devices[0] if isinstance(devices, list) and devices else None
    return first if isinstance(first, dict) else {}
