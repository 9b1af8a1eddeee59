"""What each input picture of a graph was used for, and whether a graph uses no model: pure reading of links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from memoryd.disclosure.facts import InputPart
from memoryd.workflows.facts import Graph, Link

CONTINUED_INPUTS = frozenset(
    {"latent_image", "latent", "latents", "samples", "image", "images", "pixels", "init_image"}
)
"""Inputs of a sampler whose content it continues; what comes in by any other input only steers it.

Source: ComfyUI 0.29 object_info (KSampler, KSamplerAdvanced, SamplerCustom, SamplerCustomAdvanced), and the names that
sampling nodes of common packs use for the picture they work on.
"""

MODEL_FREE_CLASSES = frozenset(
    [
        "EmptyImage",
        "LoadImage",
        "LoadImageMask",
        "LoadImageOutput",
        "SaveImage",
        "PreviewImage",
        "SaveImageAdvanced",
        "SaveAnimatedPNG",
        "SaveAnimatedWEBP",
        "SaveWEBM",
        "SaveVideo",
        "CreateVideo",
        "GetVideoComponents",
        "LoadVideo",
        "ImageScale",
        "ImageScaleBy",
        "ImageScaleToTotalPixels",
        "ImageScaleToMaxDimension",
        "ImageBlend",
        "ImageInvert",
        "ImageBatch",
        "ImageFromBatch",
        "RepeatImageBatch",
        "RebatchImages",
        "ImageCrop",
        "ImageFlip",
        "ImageRotate",
        "ImageStitch",
        "ImagePadForOutpaint",
        "ImageAddNoise",
        "ImageBlur",
        "ImageSharpen",
        "ImageQuantize",
        "ImageCompositeMasked",
        "ImageColorToMask",
        "ImageToMask",
        "MaskToImage",
        "MaskComposite",
        "SolidMask",
        "InvertMask",
        "CropMask",
        "FeatherMask",
        "GrowMask",
        "ThresholdMask",
        "JoinImageWithAlpha",
        "SplitImageWithAlpha",
        "PorterDuffImageComposite",
        "Canny",
        "Morphology",
        "GetImageSize",
        "PrimitiveInt",
        "PrimitiveFloat",
        "PrimitiveString",
        "PrimitiveBoolean",
        "PrimitiveStringMultiline",
        "Reroute",
    ]
)
"""Core nodes that compute by a fixed rule alone. A node that is not named here may hold a model: it proves nothing.

Source: ComfyUI 0.29, nodes.py and comfy_extras, read class by class for what they load.
"""

_STRENGTH = {InputPart.BASE: 3, InputPart.PLACED: 2, InputPart.GUIDE: 1, InputPart.UNKNOWN: 0}


def ancestors(graph: Graph, node: str) -> frozenset[str]:
    """Return the ids of a node and of everything its inputs come from; cycles and missing nodes do no harm."""
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if current in seen or current not in graph.nodes:
            continue
        seen.add(current)
        waiting += [value.node for value in graph.nodes[current].inputs.values() if isinstance(value, Link)]
    return frozenset(seen)


def is_model_free(graph: Graph, node: str) -> bool:
    """Tell whether everything that the node depends on is known to use no model."""
    classes = [graph.nodes[id_].class_type for id_ in ancestors(graph, node)]
    return bool(classes) and all(class_type in MODEL_FREE_CLASSES for class_type in classes)


def input_parts(graph: Graph, node: str, samplers: Iterable[str], inputs: Iterable[str]) -> Mapping[str, InputPart]:
    """Return the part of each input node (by id) in what the saving node `node` wrote.

    `samplers` and `inputs` are node ids. A picture that is used twice has its strongest part: base, placed, guide.
    """
    sampling, asked = frozenset(samplers), frozenset(inputs)
    parts = dict.fromkeys(asked, InputPart.UNKNOWN)
    seen: set[tuple[str, InputPart]] = set()
    # Without any sampler, what is loaded is what is processed.
    waiting = [(node, InputPart.PLACED if sampling else InputPart.BASE)]
    while waiting:
        current, part = waiting.pop()
        if (current, part) in seen or current not in graph.nodes:
            continue
        seen.add((current, part))
        if current in asked and _STRENGTH[part] > _STRENGTH[parts[current]]:
            parts[current] = part
        for name, value in graph.nodes[current].inputs.items():
            if isinstance(value, Link):
                waiting.append((value.node, _part_behind(part, name) if current in sampling else part))
    return parts


def _part_behind(part: InputPart, input_name: str) -> InputPart:
    # Behind a sampler's picture input lies the base, unless this sampler's own result only steers another.
    if part is InputPart.GUIDE or input_name not in CONTINUED_INPUTS:
        return InputPart.GUIDE
    return InputPart.BASE
