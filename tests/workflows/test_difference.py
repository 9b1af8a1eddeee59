from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from memoryd.workflows.difference import GraphDifference, diff_graphs
from memoryd.workflows.facts import Graph
from memoryd.workflows.wire import GraphDifferenceShape, show_difference

Make = Callable[[dict[str, Any]], Graph]
Real = Callable[[str], Graph]


def changed(difference: GraphDifference) -> dict[str, tuple[Any, Any]]:
    def shown(side: Any) -> Any:
        return "absent" if not side.present else side.link.class_type if side.link else side.literal

    return {f"{c.node_before}.{c.class_type}.{c.input}": (shown(c.before), shown(c.after)) for c in difference.changes}


def test_a_graph_does_not_differ_from_itself(real: Real) -> None:
    graph = real("txt2img_hires_two_samplers")
    assert diff_graphs(graph, graph) == GraphDifference(same=True, same_workflow=True)


def test_ids_and_order_are_no_difference(graph_of: Make, txt2img: dict[str, Any]) -> None:
    moved: dict[str, Any] = {}
    for id_, (class_type, inputs) in reversed(txt2img.items()):
        links = {name: ["x" + v[0], v[1]] if isinstance(v, list) else v for name, v in inputs.items()}
        moved["x" + id_] = (class_type, links)
    assert diff_graphs(graph_of(txt2img), graph_of(moved)) == GraphDifference(same=True, same_workflow=True)


def test_changed_values_are_named_with_both_sides(graph_of: Make, txt2img: dict[str, Any]) -> None:
    after = copy.deepcopy(txt2img)
    after["3"][1].update(seed=2**64 - 1, steps=30)
    after["6"][1]["text"] = "a cat"
    del after["5"][1]["batch_size"]
    difference = diff_graphs(graph_of(txt2img), graph_of(after))
    assert changed(difference) == {
        "3.KSampler.seed": (42, 2**64 - 1),
        "3.KSampler.steps": (20, 30),
        "6.CLIPTextEncode.text": ("a red fox", "a cat"),
        "5.EmptyLatentImage.batch_size": (1, "absent"),
    }
    assert not difference.same_workflow


def test_an_inserted_node_is_one_node_and_the_links_around_it(graph_of: Make, txt2img: dict[str, Any]) -> None:
    after = copy.deepcopy(txt2img)
    after["10"] = ("LoraLoader", {"lora_name": "a", "model": ["4", 0], "clip": ["4", 1]})
    after["3"][1]["model"] = ["10", 0]
    difference = diff_graphs(graph_of(txt2img), graph_of(after))
    assert changed(difference) == {"3.KSampler.model": ("CheckpointLoaderSimple", "LoraLoader")}
    assert [node.class_type for node in difference.added] == ["LoraLoader"]
    assert difference.removed == ()
    back = diff_graphs(graph_of(after), graph_of(txt2img))
    assert [node.class_type for node in back.removed] == ["LoraLoader"]


def test_swapped_conditionings_are_two_changed_texts(graph_of: Make, txt2img: dict[str, Any]) -> None:
    after = copy.deepcopy(txt2img)
    after["3"][1].update(positive=["7", 0], negative=["6", 0])
    difference = diff_graphs(graph_of(txt2img), graph_of(after))
    assert changed(difference) == {
        "6.CLIPTextEncode.text": ("a red fox", "blurry"),
        "7.CLIPTextEncode.text": ("blurry", "a red fox"),
    }


def test_real_graphs_differ_as_their_makers_said(real: Real) -> None:
    difference = diff_graphs(real("txt2img_prompt_only"), real("txt2img_seed_u64max"))
    assert difference.same_workflow
    assert set(changed(difference)) == {"3.KSampler.seed", "6.CLIPTextEncode.text", "9.SaveImage.filename_prefix"}


def test_large_integers_are_shown_as_text(graph_of: Make, txt2img: dict[str, Any]) -> None:
    after = copy.deepcopy(txt2img)
    after["3"][1]["seed"] = 2**64 - 1
    shape = show_difference(diff_graphs(graph_of(txt2img), graph_of(after)))
    assert isinstance(shape, GraphDifferenceShape)
    (change,) = shape.changes
    assert (change.before.literal, change.after.literal) == (42, "18446744073709551615")


def test_entirely_different_graphs_share_nothing(graph_of: Make) -> None:
    one = graph_of({"1": ("A", {}), "2": ("SaveImage", {"images": ["1", 0]})})
    other = graph_of({"1": ("B", {}), "2": ("SaveAudio", {"audio": ["1", 0]})})
    difference = diff_graphs(one, other)
    assert difference.changes == ()
    assert [node.class_type for node in difference.removed] == ["A", "SaveImage"]
    assert [node.class_type for node in difference.added] == ["B", "SaveAudio"]
