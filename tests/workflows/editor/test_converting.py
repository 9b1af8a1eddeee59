"""What was drawn becomes the prompt that the frontend would have sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memoryd.comfyui.specs import NodeSpecs
from memoryd.workflows.editor.converting import convert
from memoryd.workflows.editor.facts import Converted, Kind, Widget, WidgetOrder
from memoryd.workflows.facts import Link

Convert = Callable[..., Converted]
Draw = Callable[..., dict[str, Any]]

SEED = 2**64 - 3


def inputs_of(found: Converted, id_: str) -> dict[str, Any]:
    assert found.graph is not None, found.findings
    return dict(found.graph.nodes[id_].inputs)


def test_a_sampler_keeps_its_seed_in_full_and_loses_the_editors_word(converted: Convert, node: Draw) -> None:
    sampler = node(3, "KSampler", values=[SEED, "randomize", 20, 7.5, "euler", "karras", 1])
    assert inputs_of(converted([sampler]), "3") == {
        "seed": SEED,
        "steps": 20,
        "cfg": 7.5,
        "sampler_name": "euler",
        "scheduler": "karras",
        "denoise": 1,
    }


def test_the_oldest_files_have_a_boolean_after_the_seed(converted: Convert, node: Draw) -> None:
    sampler = node(3, "KSampler", values=[5, False, 20, 8, "sample_dpmpp_2m", "normal", 1])
    assert inputs_of(converted([sampler]), "3")["sampler_name"] == "sample_dpmpp_2m"
    assert inputs_of(converted([sampler]), "3")["seed"] == 5


def test_a_file_without_the_editors_word_is_read_as_well(converted: Convert, node: Draw) -> None:
    sampler = node(3, "KSampler", values=[5, 20, 8, "euler", "normal", 1])
    assert inputs_of(converted([sampler]), "3")["steps"] == 20


def test_a_converted_widget_takes_its_link_and_keeps_its_place(converted: Convert, node: Draw) -> None:
    encode = node(1, "CLIPTextEncode", inputs=[("clip", "CLIP", None), ("text", "STRING", 9, "text")], values=["old"])
    source = node(2, "StringFunction|pysssss", outputs=["STRING"], values=["append", "yes", "a", "b", "c"])
    assert inputs_of(converted([encode, source], [[9, 2, 0, 1, 1, "STRING"]]), "1") == {"text": Link(node="2", slot=0)}


def test_links_may_be_objects(converted: Convert, node: Draw) -> None:
    encode = node(1, "CLIPTextEncode", inputs=[("clip", "CLIP", 4)], values=["a cat"])
    loader = node(2, "CheckpointLoaderSimple", outputs=["MODEL", "CLIP", "VAE"], values=["a.safetensors"])
    link = {"id": 4, "origin_id": 2, "origin_slot": 1, "target_id": 1, "target_slot": 0, "type": "CLIP"}
    assert inputs_of(converted([encode, loader], [link]), "1") == {"text": "a cat", "clip": Link(node="2", slot=1)}


def test_muted_nodes_are_absent_and_so_are_links_to_them(converted: Convert, node: Draw) -> None:
    encode = node(1, "CLIPTextEncode", inputs=[("clip", "CLIP", 4)], values=["a cat"])
    loader = node(2, "CheckpointLoaderSimple", outputs=["MODEL", "CLIP", "VAE"], values=["a.safetensors"], mode=2)
    found = converted([encode, loader], [[4, 2, 1, 1, 0, "CLIP"]])
    assert found.graph is not None
    assert set(found.graph.nodes) == {"1"}
    assert inputs_of(found, "1") == {"text": "a cat"}


def test_a_bypassed_node_hands_on_what_has_the_same_type(converted: Convert, node: Draw) -> None:
    loader = node(1, "CheckpointLoaderSimple", outputs=["MODEL", "CLIP", "VAE"], values=["a.safetensors"])
    lora = node(
        2,
        "LoraLoader",
        inputs=[("model", "MODEL", 1), ("clip", "CLIP", 2)],
        outputs=["MODEL", "CLIP"],
        values=["l.safetensors", 1, 1],
        mode=4,
    )
    encode = node(3, "CLIPTextEncode", inputs=[("clip", "CLIP", 3)], values=["a cat"])
    links = [[1, 1, 0, 2, 0, "MODEL"], [2, 1, 1, 2, 1, "CLIP"], [3, 2, 1, 3, 0, "CLIP"]]
    found = converted([loader, lora, encode], links)
    assert inputs_of(found, "3")["clip"] == Link(node="1", slot=1)


def test_reroutes_primitives_and_set_and_get_are_resolved(converted: Convert, node: Draw) -> None:
    loader = node(1, "CheckpointLoaderSimple", outputs=["MODEL", "CLIP", "VAE"], values=["a.safetensors"])
    setter = node(2, "SetNode", inputs=[("CLIP", "CLIP", 1)], values=["words"])
    getter = node(3, "GetNode", outputs=["CLIP"], values=["words"])
    turn = node(4, "Reroute", inputs=[("", "*", 2)], outputs=["CLIP"])
    encode = node(5, "CLIPTextEncode", inputs=[("clip", "CLIP", 3), ("text", "STRING", 4, "text")], values=["old"])
    primitive = node(6, "PrimitiveNode", outputs=["STRING"], values=["a dog"])
    note = node(7, "Note", values=["remember"])
    links = [[1, 1, 1, 2, 0, "*"], [2, 3, 0, 4, 0, "*"], [3, 4, 0, 5, 0, "CLIP"], [4, 6, 0, 5, 1, "STRING"]]
    found = converted([loader, setter, getter, turn, encode, primitive, note], links)
    assert found.graph is not None
    assert set(found.graph.nodes) == {"1", "5"}
    assert inputs_of(found, "5") == {"text": "a dog", "clip": Link(node="1", slot=1)}


def subgraph(inner: list[dict[str, Any]], links: list[Any], inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    return {
        "subgraphs": [
            {
                "id": "aaaa-bbbb",
                "nodes": inner,
                "links": links,
                "inputs": [{"name": name} for name in inputs],
                "outputs": [{"name": name} for name in outputs],
            }
        ]
    }


def test_a_subgraph_is_laid_out_with_its_promoted_widgets(converted: Convert, node: Draw) -> None:
    inner = [
        node(
            8,
            "CLIPTextEncode",
            inputs=[("clip", "CLIP", 1), ("text", "STRING", 2, "text")],
            outputs=["CONDITIONING"],
            values=["inner"],
        )
    ]
    ends = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
    links = [dict(zip(ends, link, strict=True)) for link in ((1, -10, 0, 8, 0), (2, -10, 1, 8, 1), (3, 8, 0, -20, 0))]
    definitions = subgraph(inner, links, ["clip", "words"], ["CONDITIONING"])
    loader = node(1, "CheckpointLoaderSimple", outputs=["MODEL", "CLIP", "VAE"], values=["a.safetensors"])
    outer = node(
        2,
        "aaaa-bbbb",
        inputs=[("clip", "CLIP", 1), ("words", "STRING", None, "words")],
        outputs=["CONDITIONING"],
        values=["outer"],
    )
    zero = node(3, "ConditioningZeroOut", inputs=[("conditioning", "CONDITIONING", 2)], outputs=["CONDITIONING"])
    nodes = [loader, outer, zero]
    drawn = [[1, 1, 1, 2, 0, "CLIP"], [2, 2, 0, 3, 0, "CONDITIONING"]]
    found = converted(nodes, drawn, definitions=definitions)
    assert inputs_of(found, "2:8") == {"text": "outer", "clip": Link(node="1", slot=1)}
    assert inputs_of(found, "3") == {"conditioning": Link(node="2:8", slot=0)}
    outer["properties"] = {"proxyWidgets": [["8", "text"]]}
    outer["widgets_values"] = ["by proxy"]
    assert inputs_of(converted(nodes, drawn, definitions=definitions), "2:8")["text"] == "by proxy"
    outer["mode"] = 2
    muted = converted(nodes, drawn, definitions=definitions)
    assert muted.graph is not None
    assert set(muted.graph.nodes) == {"1", "3"}
    assert inputs_of(muted, "3") == {}


def test_a_subgraph_in_itself_ends_with_a_finding(converted: Convert, node: Draw) -> None:
    definitions = subgraph([node(1, "aaaa-bbbb"), node(2, "aaaa-bbbb"), node(3, "SaveImage", values=["x"])], [], [], [])
    found = converted([node(1, "aaaa-bbbb")], definitions=definitions)
    assert {"subgraphs-too-deep", "too-many-nodes"} & {finding.code for finding in found.findings}


def test_a_group_node_is_laid_out_by_its_indexes(converted: Convert, node: Draw) -> None:
    body = {
        "nodes": [
            node(0, "CheckpointLoaderSimple", outputs=["MODEL", "CLIP", "VAE"], values=["inner.safetensors"]),
            node(0, "CLIPTextEncode", inputs=[("clip", "CLIP", None)], outputs=["CONDITIONING"], values=["inner"]),
        ],
        "links": [[0, 1, 1, 0, "CLIP"]],
        "external": [],
    }
    group = node(5, "workflow>Words", outputs=["MODEL", "VAE", "CONDITIONING"], values=["b.safetensors", "a bird"])
    zero = node(6, "ConditioningZeroOut", inputs=[("conditioning", "CONDITIONING", 1)])
    found = converted([group, zero], [[1, 5, 2, 6, 0, "CONDITIONING"]], extra={"groupNodes": {"Words": body}})
    assert inputs_of(found, "5:0") == {"ckpt_name": "b.safetensors"}
    assert inputs_of(found, "5:1") == {"text": "a bird", "clip": Link(node="5:0", slot=1)}
    assert inputs_of(found, "6") == {"conditioning": Link(node="5:1", slot=0)}


def test_what_is_given_to_all_reaches_open_inputs_of_its_type(converted: Convert, node: Draw) -> None:
    loader = node(1, "CheckpointLoaderSimple", outputs=["MODEL", "CLIP", "VAE"], values=["a.safetensors"])
    everywhere = node(2, "Anything Everywhere", inputs=[("CLIP", "*", 1)])
    encode = node(3, "CLIPTextEncode", inputs=[("clip", "CLIP", None)], values=["a cat"])
    found = converted([loader, everywhere, encode], [[1, 1, 1, 2, 0, "CLIP"]])
    assert inputs_of(found, "3")["clip"] == Link(node="1", slot=1)
    told = {"downstream": 3, "downstream_slot": 0, "upstream": "1", "upstream_slot": 2}
    found = converted([loader, everywhere, encode], [[1, 1, 1, 2, 0, "CLIP"]], extra={"ue_links": [told]})
    assert inputs_of(found, "3")["clip"] == Link(node="1", slot=2)


def test_values_by_name_and_rows_of_loras_keep_their_names(converted: Convert, node: Draw) -> None:
    combine = node(1, "VHS_VideoCombine", values={"frame_rate": 8, "format": "video/h264-mp4", "videopreview": {}})
    row = {"on": True, "lora": "x.safetensors", "strength": 0.8, "strengthTwo": None}
    loras = node(2, "Power Lora Loader (rgthree)", values=[{}, {"type": "PowerLoraLoaderHeaderWidget"}, row, {}, ""])
    found = converted([combine, loras])
    assert inputs_of(found, "1") == {"frame_rate": 8, "format": "video/h264-mp4"}
    assert inputs_of(found, "2") == {"lora_1": row}


def test_node_specifications_name_widgets_and_leave_sockets_out(converted: Convert, node: Draw) -> None:
    info: dict[str, Any] = {
        "Strange": {
            "input": {
                "required": {
                    "model": ["MODEL"],
                    "height": ["INT", {"forceInput": True}],
                    "noise_seed": ["INT", {"control_after_generate": True}],
                    "mode": [["soft", "hard"]],
                }
            },
            "output": ["IMAGE"],
        }
    }
    strange = node(
        1, "Strange", inputs=[("model", "MODEL", None), ("height", "INT", None)], values=[7, "fixed", "hard"]
    )
    found = converted([strange], specs=NodeSpecs(info))
    assert inputs_of(found, "1") == {"noise_seed": 7, "mode": "hard"}
    assert found.findings == ()


def test_newer_frontends_name_every_widget_and_teach_the_order(converted: Convert, node: Draw) -> None:
    slots = [("model", "MODEL", None), ("prompt", "STRING", None, "prompt"), ("seed", "INT", None, "seed")]
    found = converted([node(1, "Never Seen", inputs=slots, values=["a fox", 12, "fixed"])])
    assert inputs_of(found, "1") == {"prompt": "a fox", "seed": 12}
    widgets = (Widget(name="prompt", kind=Kind.TEXT), Widget(name="seed", kind=Kind.INT))
    assert found.learned == (WidgetOrder(class_type="Never Seen", widgets=widgets),)


def test_a_learned_order_names_a_class_that_nobody_ships(converted: Convert, node: Draw) -> None:
    order = WidgetOrder(
        class_type="Never Seen",
        widgets=(Widget(name="strength", kind=Kind.NUMBER), Widget(name="word", kind=Kind.TEXT)),
    )
    found = converted([node(1, "Never Seen", values=[0.5, "x"])], orders={"Never Seen": order})
    assert inputs_of(found, "1") == {"strength": 0.5, "word": "x"}


def test_an_unknown_sampler_gets_usual_names_and_a_finding(converted: Convert, node: Draw) -> None:
    sampler = node(
        1,
        "Never Seen Sampler",
        inputs=[("model", "MODEL", None), ("positive", "CONDITIONING", None)],
        outputs=["LATENT"],
        values=[977_000_111_222, "randomize", 24, 6.5, "dpmpp_2m", "karras", 0.6],
    )
    found = converted([sampler])
    assert inputs_of(found, "1") == {
        "seed": 977_000_111_222,
        "steps": 24,
        "cfg": 6.5,
        "sampler_name": "dpmpp_2m",
        "scheduler": "karras",
        "denoise": 0.6,
    }
    assert [finding.code for finding in found.findings] == ["widgets-not-named"]
    assert found.guessed == {"1"}


def test_another_version_of_a_known_class_keeps_what_fits(converted: Convert, node: Draw) -> None:
    sampler = node(1, "KSampler", values=["Sample", 9_999_999_999, "fixed", 12, 8.0, "uni_pc_bh2", "ddim_uniform", 1])
    assert inputs_of(converted([sampler]), "1") == {
        "seed": 9_999_999_999,
        "steps": 12,
        "cfg": 8,
        "sampler_name": "uni_pc_bh2",
        "scheduler": "ddim_uniform",
        "denoise": 1,
    }


def test_a_list_of_two_is_no_link(converted: Convert, node: Draw) -> None:
    found = converted(
        [node(1, "Never Seen", values={"points": ["1", 0]}), node(2, "Never Seen", values={"points": []})]
    )
    assert inputs_of(found, "1") == {"points": ["1", 0]}


def test_prefixes_that_point_at_widgets_are_resolved(converted: Convert, node: Draw) -> None:
    sampler = node(3, "KSampler", values=[5, "fixed", 20, 8, "euler", "normal", 1], title="Final")
    save = node(4, "SaveImage", values=["%Final.seed%/%date:yyyy%"])
    assert inputs_of(converted([sampler, save]), "4") == {"filename_prefix": "5/%date:yyyy%"}


def test_comments_leave_a_prompt_and_choices_stay(converted: Convert, node: Draw) -> None:
    encode = node(1, "CLIPTextEncode", values=["a {red|blue} cat /* mine */ sleeping // later"])
    assert inputs_of(converted([encode]), "1") == {"text": "a {red|blue} cat  sleeping "}


def test_what_is_no_editor_graph_is_a_finding() -> None:
    for raw, code in ((b"{", "not-json"), (b"[]", "not-an-editor-graph"), (b'{"nodes":[]}', "not-a-graph")):
        found = convert(raw)
        assert found.graph is None
        assert [finding.code for finding in found.findings] == [code]


def test_an_unknown_node_that_gives_both_prompts_has_one_text_for_each(converted: Convert, node: Draw) -> None:
    values = ["a fox in snow", "blurry, dark", 1]
    encoded = inputs_of(converted([node(1, "OddEncode", outputs=["ODD_EMBEDS"], values=values)]), "1")
    assert (encoded["positive"], encoded["negative"]) == ("a fox in snow", "blurry, dark")
    reader = inputs_of(converted([node(1, "OddReader", outputs=["POSITIVE", "NEGATIVE"], values=values)]), "1")
    assert (reader["positive"], reader["negative"]) == ("a fox in snow", "blurry, dark")


def test_lists_of_rows_that_are_switched_one_by_one_are_kept(converted: Convert, node: Draw) -> None:
    loras = [{"name": "ink", "strength": 1, "active": False}]
    words = [{"text": "inked", "active": True}]
    loader = node(1, "Lora Loader (LoraManager)", values=["<lora:ink:1>", loras])
    toggle = node(2, "TriggerWord Toggle (LoraManager)", values=[True, True, words, "inked"])
    found = converted([loader, toggle])
    assert inputs_of(found, "1")["loras"] == loras
    assert inputs_of(found, "2")["toggle_trigger_words"] == words
