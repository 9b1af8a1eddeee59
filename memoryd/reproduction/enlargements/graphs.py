"""The graphs that enlarge: plain ones of ComfyUI's own nodes, or one's own with the original put into it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.texts import storable
from memoryd.reproduction.enlargements.facts import Fit, Layout, Method
from memoryd.submission.graph_needs import GraphRead
from memoryd.submission.grouping.addresses import Address, find_input
from memoryd.workflows.model_uses import find_inputs

SAVING_NODE = "9"
PREFIX = "enlargement"
UPSCALER = ("UpscaleModelLoader", "model_name")
LISTED_LIMIT = 10


class NoPlaceForOriginal(NotAcceptable):
    """It is not clear where this graph takes the original."""


def plain_graph(picture: str, layout: Layout, method: Method, *, model: str | None = None, colour: int = 0) -> str:
    """Return a prompt (API format, JSON text) that enlarges an input file to exactly the layout's size.

    With `model` it is enlarged by that upscale model first, whatever its factor is, and scaled by lanczos to the size.
    """
    nodes: dict[str, dict[str, Any]] = {"1": _node("LoadImage", "The original", image=picture)}
    latest = "1"
    if model is not None:
        nodes["2"] = _node(UPSCALER[0], "Upscale model", **{UPSCALER[1]: model})
        nodes["3"] = _node("ImageUpscaleWithModel", "Upscaled", upscale_model=["2", 0], image=[latest, 0])
        latest = "3"
    nodes["4"] = _node(
        "ImageScale",
        "To the exact size",
        image=[latest, 0],
        upscale_method=Method.LANCZOS.value if method is Method.MODEL else method.value,
        width=layout.shown.width,
        height=layout.shown.height,
        crop="center" if layout.fit is Fit.CROP else "disabled",
    )
    latest = "4"
    if layout.fit is Fit.PAD:
        nodes["5"] = _node(
            "EmptyImage", "Borders", width=layout.width, height=layout.height, batch_size=1, color=colour
        )
        nodes["6"] = _node(
            "ImageCompositeMasked",
            "Between borders",
            destination=["5", 0],
            source=[latest, 0],
            x=layout.shown.left,
            y=layout.shown.top,
            resize_source=False,
        )
        latest = "6"
    nodes[SAVING_NODE] = _node("SaveImage", "Save", filename_prefix=PREFIX, images=[latest, 0])
    return json.dumps(nodes)


def own_graph(read: GraphRead, picture: str, named: str | None) -> str:
    """Return a prompt of somebody's own that takes the original at `named`, or at its only input file.

    Raises: NoPlaceForOriginal, InputNotFound, TitleAmbiguous, InputIsLinked.
    """
    place = find_input(read.document, named) if named is not None else _only_input(read)
    node = read.document[place.node]
    changed = {**read.document, place.node: {**node, "inputs": {**node["inputs"], place.input: picture}}}
    return json.dumps(changed)


def _only_input(read: GraphRead) -> Address:
    uses = find_inputs(read.graph, read.graph.nodes) if read.graph is not None else []
    places = list(dict.fromkeys((use.node, use.input) for use in uses))
    if len(places) != 1:
        told = ", ".join(f"{node}.{name}" for node, name in places[:LISTED_LIMIT])
        raise NoPlaceForOriginal(
            storable(f"it reads {len(places)} files{': ' + told if told else ''}")[0],
            hint="name the input that takes the original, such as --input 10.image"
            if places
            else "it needs a LoadImage node that the original is put into",
        )
    node, name = places[0]
    return Address(node=node, input=name, text=f"{node}.{name}")


def _node(class_type: str, title: str, **inputs: Any) -> dict[str, Any]:
    found: Mapping[str, Any] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}
    return dict(found)
