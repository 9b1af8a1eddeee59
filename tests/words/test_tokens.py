from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from memoryd.foundation.database import Session
from memoryd.words.tokens import POSITION_LIMIT, POSITIONS_PER_WORD_LIMIT, plain_words, tokens, tsvector_text

ANY_TEXT = st.text(st.characters(codec=None), max_size=200)


def words(prompt: str) -> list[str]:
    return [word for word, _ in tokens(prompt)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("A Red FOX", ["a", "red", "fox"]),
        ("best_quality, sdxl-base-1.0.safetensors", ["best", "quality", "sdxl", "base", "1", "0", "safetensors"]),
        ("out/2026/x.png foo.com", ["out", "2026", "x", "png", "foo", "com"]),
        ("<lora:style/Ink:0.8> cat", ["lora:style/ink", "style", "ink", "cat"]),
        ("一个女孩", ["一个", "个女", "女孩", "孩"]),
        ("狐", ["狐"]),
        ("ＡＢＣ ﬁne", ["abc", "fine"]),
        ("café हिन्दी ภาษาไทย", ["café", "हिन्दी", "ภาษาไทย"]),
        ("cat猫dog", ["cat", "猫", "dog"]),
        ("🦊 — … \x00 \ud800", []),
    ],
)
def test_words_are(prompt: str, expected: list[str]) -> None:
    assert words(prompt) == expected


def test_a_part_of_a_chinese_run_stands_at_following_positions() -> None:
    whole = dict(tokens("一个女孩在森林里"))
    part = list(tokens("女孩在"))[:-1]
    assert [whole[word] - whole[part[0][0]] for word, _ in part] == [0, 1]


def test_a_query_finds_the_lora_that_a_document_names(session: Session) -> None:
    document = tsvector_text("portrait <lora:foo_bar:0.8> of a fox")
    for query in ("'lora:foo_bar'", "'foo' <-> 'bar'", "'portrait' & 'fox'", "'of' <-> 'a' <-> 'fox'"):
        found = session.scalar(text("select cast(:d as tsvector) @@ cast(:q as tsquery)"), {"d": document, "q": query})
        assert found, query


def test_negative_words_names_and_marks_are_lexemes_of_their_own(session: Session) -> None:
    document = tsvector_text("fox", negative="blurry fox", names=["a/Tiny.png"], marks=["m:it's a\\model", "p:1"])
    lexemes = session.scalar(text("select tsvector_to_array(cast(:d as tsvector))"), {"d": document})
    assert set(lexemes or ()) == {"fox", "-blurry", "-fox", "a", "tiny", "png", "m:it's a\\model", "p:1"}


@pytest.mark.parametrize(
    "document",
    [
        tsvector_text("x" * 1_000_000),
        tsvector_text("狐" * 100_000),
        tsvector_text(" ".join(f"w{number}" for number in range(200_000))),
        tsvector_text("fox " * 100_000),
        tsvector_text("", negative=" ".join(f"w{number}" for number in range(200_000))),
        tsvector_text("", marks=["🦊" * 5000, "\x00", "\ud800"]),
        tsvector_text("<lora:" + "y" * 400 + ">"),
        "",
    ],
    ids=[
        "a long word",
        "a long run",
        "many words",
        "one word often",
        "many negatives",
        "long marks",
        "long lora",
        "empty",
    ],
)
def test_postgres_takes_whatever_is_made(session: Session, document: str) -> None:
    assert session.scalar(text("select length(cast(:d as tsvector))"), {"d": document}) is not None


def test_words_beyond_the_last_position_are_left_out() -> None:
    made = tsvector_text(" ".join(f"w{number}" for number in range(POSITION_LIMIT + 5)))
    assert f"'w{POSITION_LIMIT - 1}':{POSITION_LIMIT}" in made
    assert f"'w{POSITION_LIMIT}'" not in made


@given(ANY_TEXT)
@settings(max_examples=100, deadline=None)
def test_tokens_come_in_order_and_are_stable(prompt: str) -> None:
    found = list(tokens(prompt))
    assert [position for _, position in found] == sorted({position for _, position in found})
    assert all(word and " " not in word for word, _ in found if not word.startswith(("lora:", "hypernet:")))
    assert tsvector_text(prompt) == tsvector_text(prompt)


def test_hostile_angle_brackets_are_only_words() -> None:
    # Quadratic matching would take hours here.
    assert words("<lora:" * 100_000) == ["lora"] * 100_000
    assert words("<lora:" + "y" * 300_000) == ["lora", "y" * 120]


@given(st.text("abAB01 _,.'\\(:)<>\u00e9\uff21\u4e2d\n", max_size=400).map(lambda text: text * 3))
@settings(max_examples=200, deadline=None)
def test_a_plain_prompt_is_spelled_the_same_in_half_the_time(prompt: str) -> None:
    plain = plain_words(prompt)
    assert plain is None or plain == tsvector_text(prompt)
    assert plain is not None or not prompt.isascii() or "<" in prompt or len(prompt) > POSITIONS_PER_WORD_LIMIT


def test_a_prompt_beyond_a_limit_is_not_plain() -> None:
    assert plain_words("w" * 200) is None
    assert plain_words("word " * 200) is None
    assert plain_words(" ".join(f"w{number}" for number in range(POSITION_LIMIT + 1))) is None
    assert plain_words("") == tsvector_text("")
