"""How near two environments are: named differences, the likeliest cause first."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.foundation.canonical_json import Json
from memoryd.reproduction.environments.nearness import UNKNOWN_DISTANCE, Bearing, nearness

THEN: dict[str, Json] = {
    "comfyui": "0.29.0",
    "comfyui_commit": "4f" * 20,
    "comfyui_dirty": False,
    "python": "3.11.7",
    "torch": "2.13.0+cpu",
    "flags": ["--cpu"],
    "devices": [{"name": "cpu", "type": "cpu"}],
    "threads": {"intra_op": 1, "inter_op": 2},
    "simd": "AVX2",
    "cpu": {"model": "Some CPU"},
    "variables": {"OMP_NUM_THREADS": "1"},
    "pillow": "13.0.0",
    "zlib": "1.3.1",
    "packages": {"torch": "2.13.0+cpu", "pillow": "13.0.0", "numpy": "2.3", "aiohttp": "3.14"},
    "node_packs": [{"name": "pack", "remote": "https://e/p", "commit": "a" * 40, "changed": False, "tree": "b" * 64}],
}


def changed(**members: Json) -> dict[str, Json]:
    return {**copy.deepcopy(THEN), **members}


def weight_of(name: str, then: dict[str, Json], now: dict[str, Json]) -> int:
    return next(each.weight for each in nearness(then, now).differences if each.name == name)


def test_equal_environments_are_identical_and_at_no_distance() -> None:
    found = nearness(THEN, copy.deepcopy(THEN))
    assert (found.identical, found.known, found.distance, found.differences) == (True, True, 0, ())


def test_an_environment_that_nobody_recorded_is_far_and_not_known() -> None:
    found = nearness(None, THEN)
    assert (found.identical, found.known, found.distance) == (False, False, UNKNOWN_DISTANCE)
    assert nearness(THEN, None).known


def test_differences_are_named_by_their_place() -> None:
    found = nearness(THEN, changed(threads={"intra_op": 2, "inter_op": 2}))
    (one,) = found.differences
    assert (one.name, one.then, one.now, one.bearing) == ("threads.intra_op", 1, 2, Bearing.PIXELS)
    assert not found.identical


def test_the_heaviest_difference_stands_first() -> None:
    order: list[dict[str, Json]] = [
        {"devices": [{"name": "NVIDIA H200", "type": "cuda"}]},
        {"torch": "2.12.0+cpu"},
        {"simd": "DEFAULT"},
        {"threads": {"intra_op": 2, "inter_op": 2}},
        {"variables": {"OMP_NUM_THREADS": "1", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}},
        {"cpu": {"model": "Another CPU"}},
        {"flags": ["--cpu", "--use-split-cross-attention"]},
        {"node_packs": []},
        {"comfyui_commit": "5e" * 20},
        {"packages": {"aiohttp": "3.15", "numpy": "2.3"}},
    ]
    distances = [nearness(THEN, changed(**members)).distance for members in order]
    assert distances == sorted(distances, reverse=True)
    assert len(set(distances)) == len(distances)
    everything: dict[str, Json] = {key: value for members in order for key, value in members.items()}
    weights = [each.weight for each in nearness(THEN, changed(**everything)).differences]
    assert weights == sorted(weights, reverse=True)


def test_pillow_and_zlib_explain_the_file_alone() -> None:
    now = changed(pillow="12.0.0", zlib="1.2.11", packages={"torch": "2.13.0+cpu", "numpy": "2.3", "aiohttp": "3.14"})
    found = nearness(THEN, now)
    assert {each.name for each in found.differences} == {"pillow", "zlib"}
    assert {each.bearing for each in found.differences} == {Bearing.FILE}


def test_what_one_side_does_not_know_weighs_less_than_what_differs() -> None:
    unknown = {key: value for key, value in THEN.items() if key != "simd"}
    assert 0 < nearness(unknown, THEN).distance < nearness(THEN, changed(simd="DEFAULT")).distance
    assert not nearness(unknown, THEN).identical


def test_a_package_missing_in_an_incomplete_list_is_unknown() -> None:
    old: dict[str, Json] = {"packages": {"comfyui-frontend-package": "1.47"}}
    new: dict[str, Json] = {"zlib": "1.3.1", "packages": {"comfyui-frontend-package": "1.47", "numpy": "2.3"}}
    complete: dict[str, Json] = {"zlib": "1.3.1", "packages": {"comfyui-frontend-package": "1.47"}}
    assert weight_of("packages.numpy", old, new) < weight_of("packages.numpy", complete, new)


def test_old_records_with_the_card_s_place_and_memory_compare_equal() -> None:
    old: dict[str, Json] = {
        "devices": [{"name": "cuda:0 NVIDIA H200 : cudaMallocAsync", "type": "cuda", "memory": 5}],
        "python": "3.11.7 (main, Oct  9 2025) [GCC 13]",
    }
    new: dict[str, Json] = {"devices": [{"name": "NVIDIA H200", "type": "cuda"}], "python": "3.11.7"}
    assert nearness(old, new).identical


def test_equal_files_of_a_pack_outweigh_another_commit() -> None:
    pack: dict[str, Json] = {"name": "pack", "remote": None, "commit": "c" * 40, "changed": False, "tree": "b" * 64}
    found = nearness(THEN, changed(node_packs=[pack]))
    assert {each.bearing for each in found.differences} == {Bearing.UNLIKELY}
    other = nearness(THEN, changed(node_packs=[{**pack, "tree": "d" * 64}]))
    assert other.differences[0].bearing is Bearing.PIXELS


def test_packs_that_the_graph_does_not_use_are_unlikely() -> None:
    now = changed(node_packs=[])
    assert nearness(THEN, now, packs={"pack"}).differences[0].bearing is Bearing.PIXELS
    assert nearness(THEN, now, packs=()).differences[0].bearing is Bearing.UNLIKELY


def test_the_processor_matters_less_where_a_gpu_computes() -> None:
    gpu: dict[str, Json] = {"devices": [{"name": "NVIDIA H200", "type": "cuda"}], "simd": "AVX2"}
    on_gpu = nearness(gpu, {**gpu, "simd": "AVX512"}).distance
    assert 0 < on_gpu < nearness(THEN, changed(simd="AVX512")).distance


def test_flags_are_told_one_by_one() -> None:
    found = nearness(changed(flags=["--cache-lru", "5", "--fp16-unet"]), changed(flags=["--cache-lru=7"]))
    assert [(each.name, each.then, each.now) for each in found.differences] == [
        ("flags.--fp16-unet", True, None),
        ("flags.--cache-lru", "5", "7"),
    ]


@pytest.mark.parametrize("broken", [{"devices": "x"}, {"flags": 3}, {"node_packs": {"a": 1}}, {"packages": []}])
def test_documents_of_any_shape_are_compared(broken: dict[str, Json]) -> None:
    assert nearness(THEN, {**THEN, **broken}).known
    assert nearness(broken, THEN).known


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_documents = st.dictionaries(st.sampled_from([*THEN, "other"]), _values, max_size=6)


@settings(max_examples=60, deadline=None)
@given(then=_documents, now=_documents)
def test_nearness_looks_the_same_from_both_sides(then: dict[str, Json], now: dict[str, Json]) -> None:
    there, back = nearness(then, now), nearness(now, then)
    assert there.distance == back.distance
    assert [(e.name, e.then, e.now) for e in there.differences] == [(e.name, e.now, e.then) for e in back.differences]
    assert nearness(then, then).identical
