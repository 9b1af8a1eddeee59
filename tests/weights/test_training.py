"""What a header says about how its model was made."""

from __future__ import annotations

import json

from memoryd.weights.training import PARENTS_LIMIT, stated_base_name, stated_parents, stated_triggers


def test_words_that_call_a_model_up_are_the_phrase_and_what_most_pictures_show() -> None:
    tags = {"10_sks": {"sks": 30, "fox": 16, "a hat": 14, "x": True}, "5_more": {"fox": 9, "sks": 1}}
    metadata = {
        "modelspec.trigger_phrase": "sks fox, ink",
        "ss_tag_frequency": json.dumps(tags),
        "ss_dataset_dirs": json.dumps({"10_sks person": {"n_repeats": 10}, "reg": {}}),
    }
    assert stated_triggers(metadata) == ("sks fox", "ink", "sks", "fox", "sks person")


def test_captions_are_not_kept() -> None:
    captions = {"1_set": {f"a long caption {number}": 1 for number in range(300)}}
    assert len(stated_triggers({"ss_tag_frequency": json.dumps(captions)})) <= 10


def test_parents_are_hashes_and_names() -> None:
    metadata = {
        "ss_new_sd_model_hash": "e1441589a6",
        "ss_sd_model_name": "base.safetensors",
        "sd_merge_models": json.dumps({"ab" * 32: {"name": "one"}, "cd" * 32: {}}),
        "modelspec.merged_from": "One, Two",
        "general.base_model.0.repo_url": "https://huggingface.co/org/base",
    }
    assert stated_parents(metadata) == (
        "e1441589a6", "One", "Two", "ab" * 32, "cd" * 32, "https://huggingface.co/org/base",
    )  # fmt: skip
    assert stated_base_name(metadata) == "base.safetensors"


def test_hostile_entries_say_nothing() -> None:
    for text in ("{", "[]", "7", '{"a": []}', '{"a": {"b": "c", "d": 1e99, "e": -1}}', "[" * 10_000):
        metadata = {"ss_tag_frequency": text, "sd_merge_models": text, "ss_dataset_dirs": text}
        assert stated_triggers(metadata) == ()
    many = json.dumps({f"{number:064x}": {} for number in range(1_000)})
    assert len(stated_parents({"sd_merge_models": many})) == PARENTS_LIMIT
    assert stated_parents({"ss_sd_model_hash": "None"}) == ()
