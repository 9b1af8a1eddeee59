from __future__ import annotations

from memoryd.disclosure.facts import InputPart
from memoryd.disclosure.input_parts import input_parts, is_model_free
from memoryd.workflows.facts import Graph, Link, Node, Value


def graph(**nodes: tuple[str, dict[str, Value]]) -> Graph:
    return Graph(nodes={id_: Node(id=id_, class_type=kind, inputs=inputs) for id_, (kind, inputs) in nodes.items()})


def link(node: str) -> Link:
    return Link(node=node, slot=0)


IMG2IMG = graph(
    base=("LoadImage", {}),
    pose=("LoadImage", {}),
    logo=("LoadImage", {}),
    encode=("VAEEncode", {"pixels": link("base")}),
    control=("ControlNetApply", {"image": link("pose")}),
    sampler=("KSampler", {"latent_image": link("encode"), "positive": link("control")}),
    decode=("VAEDecode", {"samples": link("sampler")}),
    paste=("ImageCompositeMasked", {"destination": link("decode"), "source": link("logo")}),
    save=("SaveImage", {"images": link("paste")}),
)


def test_each_picture_has_the_part_it_played() -> None:
    assert input_parts(IMG2IMG, "save", ["sampler"], ["base", "pose", "logo"]) == {
        "base": InputPart.BASE,
        "pose": InputPart.GUIDE,
        "logo": InputPart.PLACED,
    }


def test_a_picture_that_is_continued_and_guides_is_the_base() -> None:
    twice = graph(
        one=("LoadImage", {}),
        encode=("VAEEncode", {"pixels": link("one")}),
        sampler=("KSampler", {"positive": link("one"), "latent_image": link("encode")}),
        save=("SaveImage", {"images": link("sampler")}),
    )
    assert input_parts(twice, "save", ["sampler"], ["one"]) == {"one": InputPart.BASE}


def test_a_picture_that_nothing_depends_on_has_no_part() -> None:
    lonely = graph(one=("LoadImage", {}), save=("SaveImage", {}))
    assert input_parts(lonely, "save", [], ["one"]) == {"one": InputPart.UNKNOWN}


def test_a_circle_ends() -> None:
    circle = graph(a=("ImageInvert", {"image": link("b")}), b=("ImageInvert", {"image": link("a")}))
    assert input_parts(circle, "a", [], ["b"]) == {"b": InputPart.BASE}
    assert is_model_free(circle, "a")


def test_one_unknown_node_is_enough_not_to_be_model_free() -> None:
    assert not is_model_free(IMG2IMG, "save")
    assert is_model_free(graph(save=("SaveImage", {"images": link("empty")}), empty=("EmptyImage", {})), "save")
    assert not is_model_free(graph(), "save")
