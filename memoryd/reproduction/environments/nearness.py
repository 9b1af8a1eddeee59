"""How near two environments are: every difference by name, what it can explain, the likeliest cause first.

Pure. A member that only one of the two documents has is *unknown* on the other side, not different: it weighs less.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from memoryd.foundation.canonical_json import Json
from memoryd.reproduction.environments.bearings import (
    HARMLESS,
    MEMBERS,
    OF_COMFYUI,
    ON_PROCESSOR,
    SAYS_TWICE,
    UNKNOWN_SHARE,
    Bearing,
    Weight,
    flag_weight,
    package_weight,
)
from memoryd.reproduction.environments.members import unknown_members

__all__ = ["UNKNOWN_DISTANCE", "Bearing", "Difference", "Nearness", "nearness"]

UNKNOWN_DISTANCE = 1_000_000
"""The distance to an environment that nobody recorded: farther than any that is known."""

_DECIDING = ("comfyui", "python", "torch", "devices", "flags", "packages", "threads", "simd")
"""Members without which two environments may be any two. Source: reference runs, where each of them changed pixels."""

_DEVICE_NAME = re.compile(r"^(?:[a-z]+:\d+ )?(.*?)(?: : [A-Za-z]+)?$")
"""ComfyUI calls a card `cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync`: its place and its allocator are not its name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One named difference (`threads.intra_op`). None on a side means: not there, or not known.

    `weight`: higher is the likelier cause.
    """

    name: str
    then: Json
    now: Json
    bearing: Bearing
    weight: int

    def as_json(self) -> dict[str, Json]:
        """The difference as stored and shown."""
        return {
            "name": self.name,
            "then": self.then,
            "now": self.now,
            "bearing": self.bearing.value,
            "weight": self.weight,
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Nearness:
    """How near an environment is to one of then. `known`: that of then was recorded. `differences`: heaviest first.

    `untold`: members that decide over pixels and that neither tells: as far as they go, *identical* is not known.
    """

    identical: bool
    known: bool
    distance: int
    differences: tuple[Difference, ...]
    untold: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The nearness as stored and shown."""
        return {
            "identical": self.identical,
            "known": self.known,
            "distance": self.distance,
            "differences": [difference.as_json() for difference in self.differences],
            "untold": list(self.untold),
        }


def nearness(
    then: Mapping[str, Json] | None, now: Mapping[str, Json] | None, *, packs: Collection[str] | None = None
) -> Nearness:
    """Return how near two environments are. `packs` names the node packs that the graph uses, None where that is not known."""
    if then is None or now is None:
        return Nearness(identical=False, known=then is not None, distance=UNKNOWN_DISTANCE, differences=())
    found = sorted(_differences(then, now, packs), key=lambda each: (-each.weight, each.name))
    return Nearness(
        identical=not found,
        known=True,
        distance=sum(each.weight for each in found),
        differences=tuple(found),
        untold=tuple(name for name in _DECIDING if name in unknown_members(then) and name in unknown_members(now)),
    )


def _differences(
    then: Mapping[str, Json], now: Mapping[str, Json], packs: Collection[str] | None
) -> Iterator[Difference]:
    on_gpu = _computes_on_gpu(then) and _computes_on_gpu(now)
    same_comfyui = _is_known(then.get("comfyui_tree")) and then.get("comfyui_tree") == now.get("comfyui_tree")
    for key in sorted({*then, *now}):
        before, after = then.get(key), now.get(key)
        match key:
            case "devices":
                yield from _devices(before, after)
            case "flags":
                said_twice = "deterministic" in then and "deterministic" in now
                yield from _flags(before, after, {"--deterministic"} if said_twice else set())
            case "node_packs":
                yield from _packs(before, after, packs)
            case "packages":
                both = {name for name in SAYS_TWICE.values() if _is_known(then.get(name)) and _is_known(now.get(name))}
                yield from _packages(before, after, both, complete="zlib" in then and "zlib" in now)
            case "python":
                # Old records tell the compiler and the date of its build as well.
                yield from _values(key, _first_word(before), _first_word(after), *MEMBERS[key])
            case _:
                bearing, weight = MEMBERS.get(key, (Bearing.UNLIKELY, Weight.TRIFLE))
                if on_gpu and key in ON_PROCESSOR:
                    weight = Weight.CPU_OF_GPU_RUN
                if same_comfyui and key in OF_COMFYUI:
                    bearing, weight = Bearing.UNLIKELY, Weight.TRIFLE
                yield from _values(key, before, after, bearing, weight)


def _values(name: str, before: Json, after: Json, bearing: Bearing, weight: int) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        # Within a variable's or a thread setting's group both sides were looked at: what is not there was not set.
        for key in sorted({*before, *after}):
            harmless = f"{name}.{key}" in HARMLESS
            yield from _told(
                f"{name}.{key}",
                before.get(key),
                after.get(key),
                Bearing.UNLIKELY if harmless else bearing,
                Weight.TRIFLE if harmless else weight,
            )
    elif _is_known(before) and _is_known(after):
        yield from _told(name, before, after, bearing, weight)
    else:
        yield from _told(name, before, after, bearing, weight // UNKNOWN_SHARE or 1)


def _told(name: str, before: Json, after: Json, bearing: Bearing, weight: int) -> Iterator[Difference]:
    if before != after:
        yield Difference(name=name, then=before, now=after, bearing=bearing, weight=int(weight))


def _devices(before: Json, after: Json) -> Iterator[Difference]:
    if not (isinstance(before, list) and isinstance(after, list)):
        yield from _values("devices", before, after, Bearing.PIXELS, Weight.DEVICE)
        return
    for place in range(max(len(before), len(after))):
        old, new = _at(before, place), _at(after, place)
        name = f"devices.{place}"
        if old is None or new is None:
            # A second card changes nothing of what the first one computes.
            weight = Weight.DEVICE if place == 0 else Weight.TRIFLE
            yield from _told(name, old, new, Bearing.PIXELS if place == 0 else Bearing.UNLIKELY, weight)
            continue
        yield from _values(f"{name}.type", old.get("type"), new.get("type"), Bearing.PIXELS, Weight.DEVICE)
        yield from _values(f"{name}.name", _card(old), _card(new), Bearing.PIXELS, Weight.GPU_NAME)
        capability = f"{name}.capability"
        yield from _values(
            capability, old.get("capability"), new.get("capability"), Bearing.PIXELS, Weight.GPU_NAME - 1
        )


def _at(devices: Sequence[Json], place: int) -> dict[str, Json] | None:
    device = devices[place] if place < len(devices) else None
    return device if isinstance(device, dict) else None


def _card(device: Mapping[str, Json]) -> Json:
    name = device.get("name")
    match = _DEVICE_NAME.match(name) if isinstance(name, str) else None
    return match[1] if match else name


def _flags(before: Json, after: Json, told_elsewhere: Collection[str]) -> Iterator[Difference]:
    if not (isinstance(before, list) and isinstance(after, list)):
        yield from _values("flags", before, after, Bearing.PIXELS, Weight.OTHER_FLAG)
        return
    old, new = _by_flag(before), _by_flag(after)
    for flag in sorted({*old, *new} - set(told_elsewhere)):
        yield from _told(f"flags.{flag}", old.get(flag), new.get(flag), *flag_weight(flag))


def _by_flag(words: Sequence[Json]) -> dict[str, Json]:
    flags: dict[str, Json] = {}
    current = ""
    for word in map(str, words):
        if word.startswith("--"):
            current, _, value = word.partition("=")
            flags[current] = value or True
        else:
            value_of = flags.get(current)
            flags[current] = f"{value_of} {word}" if isinstance(value_of, str) else word
    return flags


def _packs(before: Json, after: Json, used: Collection[str] | None) -> Iterator[Difference]:
    old, new = _by_name(before), _by_name(after)
    known = isinstance(before, list) and isinstance(after, list)
    for pack in sorted({*old, *new}):
        matters = used is None or pack in used
        bearing = Bearing.PIXELS if matters else Bearing.UNLIKELY
        weight = Weight.NODE_PACK if matters else Weight.PACKAGE
        name, was, is_now = f"node_packs.{pack}", old.get(pack), new.get(pack)
        if was is None or is_now is None:
            yield from _told(name, was, is_now, bearing, weight if known else weight // UNKNOWN_SHARE or 1)
            continue
        same = _is_known(was.get("tree")) and was.get("tree") == is_now.get("tree")
        if same:
            # Equal files at another commit or from another address are equal files.
            bearing, weight = Bearing.UNLIKELY, Weight.TRIFLE
        for key in ("commit", "changed", "tree"):
            yield from _values(f"{name}.{key}", was.get(key), is_now.get(key), bearing, weight)
        yield from _values(f"{name}.remote", was.get("remote"), is_now.get("remote"), Bearing.UNLIKELY, Weight.TRIFLE)


def _by_name(packs: Json) -> dict[str, dict[str, Json]]:
    listed = [pack for pack in packs if isinstance(pack, dict)] if isinstance(packs, list) else []
    return {str(pack.get("name")): pack for pack in listed}


def _packages(before: Json, after: Json, told_elsewhere: Collection[str], *, complete: bool) -> Iterator[Difference]:
    old: Mapping[str, Json] = before if isinstance(before, dict) else {}
    new: Mapping[str, Json] = after if isinstance(after, dict) else {}
    for package in sorted({*old, *new} - set(told_elsewhere)):
        was, is_now = old.get(package), new.get(package)
        bearing, weight = package_weight(package)
        # /system_stats lists three packages of a hundred: only two complete lists say that one was not there.
        whole = complete or (_is_known(was) and _is_known(is_now))
        yield from _told(f"packages.{package}", was, is_now, bearing, weight if whole else weight // UNKNOWN_SHARE or 1)


def _computes_on_gpu(document: Mapping[str, Json]) -> bool:
    devices = document.get("devices")
    first = _at(devices, 0) if isinstance(devices, list) else None
    return first is not None and first.get("type") not in (None, "cpu")


def _first_word(value: Json) -> Json:
    return value.partition(" ")[0] if isinstance(value, str) else value


def _is_known(value: Json) -> bool:
    return value is not None
