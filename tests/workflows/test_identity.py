from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.canonical_json import canonical_bytes
from memoryd.workflows.documents import graph_of_canonical
from memoryd.workflows.facts import RECIPE, Graph, Identities, Link, Node
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.identity import COERCED_RECIPE, GraphHasCycle, identify, spell
from tests.thoroughness import tries

Make = Callable[[dict[str, Any]], Graph]
Real = Callable[[str], Graph]


def digests(identities: Identities) -> tuple[bytes, bytes, bytes]:
    return identities.exact, identities.workflow, identities.structure


@st.composite
def prompts(draw: st.DrawFn) -> dict[str, Any]:
    """Graphs without cycles: each node takes only from those before it; the last ones save."""
    values = st.one_of(
        st.integers(-5, 2**64), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5), st.booleans()
    )
    count = draw(st.integers(1, 8))
    prompt: dict[str, Any] = {}
    for number in range(count):
        inputs: dict[str, Any] = draw(st.dictionaries(st.sampled_from("abcdseed"), values, max_size=3))
        for name in draw(st.lists(st.sampled_from("xyz"), max_size=3, unique=True)) if number else ():
            inputs[name] = [str(draw(st.integers(0, number - 1))), draw(st.integers(0, 2))]
        prompt[str(number)] = {"class_type": draw(st.sampled_from("ABC")), "inputs": inputs}
    for number in range(draw(st.integers(1, 3))):
        source = [str(draw(st.integers(0, count - 1))), 0]
        prompt[f"s{number}"] = {"class_type": "SaveImage", "inputs": {"images": source}}
    return prompt


def shuffled(prompt: dict[str, Any], seed: int) -> dict[str, Any]:
    """The same graph under other ids, in another order, with titles, inputs in another order."""
    chance = random.Random(seed)
    ids = list(prompt)
    names = [f"n{number}" for number in range(len(ids))]
    chance.shuffle(names)
    new = dict(zip(ids, names, strict=True))
    order = ids[:]
    chance.shuffle(order)
    result: dict[str, Any] = {}
    for id_ in order:
        inputs = list(prompt[id_]["inputs"].items())
        chance.shuffle(inputs)
        moved = {
            name: [new[value[0]], value[1]] if isinstance(value, list) and value[0] in new else value
            for name, value in inputs
        }
        title = {"title": f"t{chance.random()}"}
        result[new[id_]] = {
            "_meta": title,
            "inputs": moved,
            "class_type": prompt[id_]["class_type"],
            "is_changed": ["x"],
        }
    return result


def identified(prompt: dict[str, Any]) -> Identities:
    graph, _ = parse_graph(json.dumps(prompt).encode())
    assert graph is not None
    return identify(graph)


@given(prompts(), st.integers())
@settings(max_examples=tries(20), deadline=None)
def test_ids_order_and_titles_do_not_matter(prompt: dict[str, Any], seed: int) -> None:
    one, other = identified(prompt), identified(shuffled(prompt, seed))
    assert digests(one) == digests(other)
    assert sorted(output.exact for output in one.outputs) == [output.exact for output in other.outputs]


@given(prompts(), st.data())
@settings(max_examples=tries(20), deadline=None)
def test_any_changed_input_of_an_executed_node_changes_the_exact_identity(
    prompt: dict[str, Any], data: st.DataObject
) -> None:
    before = identified(prompt)
    changed = copy.deepcopy(prompt)
    saving = data.draw(st.sampled_from([id_ for id_ in prompt if id_.startswith("s")]))
    node = changed[changed[saving]["inputs"]["images"][0]]
    node["inputs"]["new"] = "value"
    after = identified(changed)
    assert after.exact != before.exact
    assert after.workflow != before.workflow
    assert after.structure == before.structure


@given(prompts())
@settings(max_examples=tries(15), deadline=None)
def test_the_canonical_form_is_canonical_json_and_gives_the_graph_back(prompt: dict[str, Any]) -> None:
    identities = identified(prompt)
    assert canonical_bytes(json.loads(identities.canonical)) == identities.canonical
    again = identify(graph_of_canonical(identities.canonical))
    assert digests(again) == digests(identities)
    assert again.node_count == identities.node_count == len(json.loads(identities.canonical)["nodes"])


@pytest.mark.parametrize(
    "value",
    [
        "",
        'é🦊\n"',
        0,
        -0.0,
        1.0,
        2**53,
        float(2**53),
        1e300,
        1e-7,
        0.1,
        2**64 - 1,
        True,
        False,
        None,
        [1.0, ["1", 0]],
        {"b": 1, "a": -0.0},
    ],
)
def test_literals_are_spelled_as_canonical_json(value: Any) -> None:
    assert spell(value).encode() == canonical_bytes(value)


def test_a_list_that_looks_like_a_link_is_no_link(graph_of: Make) -> None:
    def saved(value: Any) -> Identities:
        return identify(graph_of({"1": ("A", {}), "2": ("SaveImage", {"images": ["1", 0], "x": value})}))

    assert saved(["1", 0]).exact != saved({"__value__": ["1", 0]}).exact
    assert saved([1, 2]).exact != saved([2, 1]).exact
    assert saved(1).exact == saved(1.0).exact
    assert saved(1).exact != saved("1").exact
    assert saved(1).exact != saved(True).exact


def test_sharing_counts(graph_of: Make) -> None:
    load = ("LoadImage", {"image": "a.png"})
    shared = graph_of(
        {"1": load, "3": ("Blend", {"a": ["1", 0], "b": ["1", 0]}), "4": ("SaveImage", {"images": ["3", 0]})}
    )
    twice = graph_of(
        {"1": load, "2": load, "3": ("Blend", {"a": ["1", 0], "b": ["2", 0]}), "4": ("SaveImage", {"images": ["3", 0]})}
    )
    for level in range(3):
        assert digests(identify(shared))[level] != digests(identify(twice))[level]


@pytest.mark.parametrize("count", [18, 60])
def test_double_linked_nodes_take_one_visit_each(graph_of: Make, count: int) -> None:
    prompt: dict[str, Any] = {"0": ("A", {})}
    prompt |= {str(n): ("A", {"a": [str(n - 1), 0], "b": [str(n - 1), 0]}) for n in range(1, count)}
    prompt["s"] = ("SaveImage", {"images": [str(count - 1), 0]})
    identities = identify(graph_of(prompt))
    assert identities.node_count == count + 1
    assert len(identities.canonical) < count * 100


def test_what_differs_from_run_to_run_is_not_the_workflow(graph_of: Make, txt2img: dict[str, Any]) -> None:
    before = identify(graph_of(txt2img))
    for id_, name, value in (("3", "seed", 7), ("6", "text", "a cat"), ("9", "filename_prefix", "cat")):
        changed = copy.deepcopy(txt2img)
        changed[id_][1][name] = value
        after = identify(graph_of(changed))
        assert after.exact != before.exact
        assert after.workflow == before.workflow
    for id_, name, value in (("3", "steps", 7), ("4", "ckpt_name", "other.safetensors"), ("5", "width", 64)):
        changed = copy.deepcopy(txt2img)
        changed[id_][1][name] = value
        after = identify(graph_of(changed))
        assert after.workflow != before.workflow
        assert after.structure == before.structure


def test_input_files_are_not_the_workflow(real: Real) -> None:
    one, other = identify(real("img2img_from_upload")), identify(real("img2img_from_output_annotated"))
    assert one.structure == other.structure
    # They differ in denoise too (0.6 and 0.5), which is the workflow's.
    assert one.workflow != other.workflow


def test_a_text_typed_into_a_value_node_is_not_the_workflow(graph_of: Make, txt2img: dict[str, Any]) -> None:
    def with_text(text: str, style: str) -> Identities:
        prompt = copy.deepcopy(txt2img)
        prompt["6"][1]["text"] = ["21", 0]
        prompt["20"] = ("PrimitiveString", {"value": text})
        prompt["21"] = ("StringConcatenate", {"string_a": ["20", 0], "string_b": style, "delimiter": ", "})
        return identify(graph_of(prompt))

    assert with_text("fox", "ink").workflow == with_text("cat", "oil").workflow
    assert with_text("fox", "ink").exact != with_text("cat", "ink").exact


def test_a_node_that_no_output_uses_does_not_matter(real: Real) -> None:
    graph = real("txt2img_orphan_lora")
    without = Graph(nodes={id_: node for id_, node in graph.nodes.items() if id_ != "50"})
    assert digests(identify(graph)) == digests(identify(without))


def test_previews_are_not_outputs(real: Real) -> None:
    identities = identify(real("txt2img_two_saves_and_preview"))
    assert sorted(output.node for output in identities.outputs) == ["21", "9"]
    assert identities.node_count == 9


def test_a_graph_that_saves_nothing_is_rooted_at_its_previews_with_a_finding(graph_of: Make) -> None:
    identities = identify(
        graph_of({"1": ("EmptyImage", {}), "2": ("PreviewImage", {"images": ["1", 0]}), "3": ("A", {})})
    )
    assert [output.node for output in identities.outputs] == ["2"]
    assert [finding.code for finding in identities.findings] == ["no-saving-output"]


def test_the_run_is_the_multiset_of_its_outputs(graph_of: Make) -> None:
    one = {"1": ("EmptyImage", {}), "2": ("SaveImage", {"images": ["1", 0]})}
    two = one | {"3": ("SaveImage", {"images": ["1", 0]})}
    assert identify(graph_of(one)).exact != identify(graph_of(two)).exact
    assert len(identify(graph_of(two)).outputs) == 2


def test_coercion_by_specifications_is_another_recipe(graph_of: Make) -> None:
    specs = NodeSpecs({"EmptyImage": {"input": {"required": {"width": ["INT", {}], "name": ["STRING", {}]}}}})

    def saved(width: Any, name: Any) -> Graph:
        return graph_of({"1": ("EmptyImage", {"width": width, "name": name}), "2": ("SaveImage", {"images": ["1", 0]})})

    assert identify(saved("48", 5)).exact != identify(saved(48.0, "5")).exact
    assert identify(saved("48", 5), specs).exact == identify(saved(48.0, "5"), specs).exact
    assert identify(saved(48, "5")).recipe == RECIPE
    assert identify(saved(48, "5"), specs).recipe == COERCED_RECIPE
    assert identify(saved(48, "5"), specs).exact != identify(saved(48, "5")).exact


def test_a_cycle_has_no_identity() -> None:
    node = Node(id="1", class_type="SaveImage", inputs={"images": Link(node="1", slot=0)})
    with pytest.raises(GraphHasCycle):
        identify(Graph(nodes={"1": node}))


GOLDEN = {
    "txt2img_basic": ("5e4da6", "aea5c0", "0435ea"),
    "txt2img_hires_two_samplers": ("9ced9d", "4c4768", "b49254"),
    "modelfree_blend_invert": ("78252c", "ddf60a", "737fe0"),
    "txt2img_two_saves_and_preview": ("30b180", "109b46", "ec1584"),
}
"""Recipe v1 is kept for ever: digests that were stored must be made again."""


@pytest.mark.parametrize("name", GOLDEN)
def test_recipe_v1_stays_as_it_is(real: Real, name: str) -> None:
    found = tuple(digest.hex()[:6] for digest in digests(identify(real(name))))
    assert found == GOLDEN[name]


def test_pictures_of_one_workflow_share_its_identity(real: Real) -> None:
    same = (
        "txt2img_basic",
        "txt2img_prompt_only",
        "txt2img_seed_u64max",
        "txt2img_unicode_zh_emoji",
        "txt2img_orphan_lora",
    )
    assert len({identify(real(name)).workflow for name in same}) == 1
    assert len({identify(real(name)).exact for name in same}) == len(same)
