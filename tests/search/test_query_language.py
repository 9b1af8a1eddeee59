from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.search.facts import All, Any, Compare, Filter, Not, Part, Query, Term
from memoryd.search.fields import FIELDS
from memoryd.search.query_language import (
    QUERY_LIMIT,
    TERMS_LIMIT,
    QueryNotUnderstood,
    QueryTooLarge,
    parse,
    spell,
)
from tests.thoroughness import tries


def part(text: str) -> Part | None:
    return parse(text).part


def test_an_empty_search_asks_for_everything() -> None:
    assert parse("  ") == Query(part=None)


def test_words_must_all_be_there() -> None:
    assert part("red fox") == All(parts=(Term(text="red"), Term(text="fox")))


def test_quotes_keep_words_together() -> None:
    assert part('"red fox"') == Term(text="red fox", phrase=True)


def test_a_star_is_a_beginning() -> None:
    assert part("fox*") == Term(text="fox", prefix=True)
    assert part("*") == Term(text="*")


def test_or_binds_less_than_a_space() -> None:
    fox, owl, snow = Term(text="fox"), Term(text="owl"), Term(text="snow")
    assert part("fox snow OR owl") == Any(parts=(All(parts=(fox, snow)), owl))
    assert part("snow (fox OR owl)") == All(parts=(snow, Any(parts=(fox, owl))))


def test_or_in_small_letters_is_a_word() -> None:
    assert part("fox or") == All(parts=(Term(text="fox"), Term(text="or")))


def test_a_minus_is_not_and_two_are_none() -> None:
    assert part("-fox") == Not(part=Term(text="fox"))
    assert part("--fox") == Term(text="fox")
    assert part('-"red fox"') == Not(part=Term(text="red fox", phrase=True))
    assert part("-model:sdxl") == Not(part=Filter(field="model", value="sdxl"))


def test_a_dash_alone_asks_for_nothing() -> None:
    assert part("fox - owl") == All(parts=(Term(text="fox"), Term(text="owl")))


def test_fields_take_values_with_spaces_in_quotes() -> None:
    assert part('tag:"hero shot"') == Filter(field="tag", value="hero shot")
    assert part("MODEL:sdxl") == Filter(field="model", value="sdxl")


@pytest.mark.parametrize(
    ("text", "compare", "value"),
    [
        ("rating:>=3", Compare.AT_LEAST, "3"),
        ("steps:<20", Compare.LESS, "20"),
        ("cfg:<=6.5", Compare.AT_MOST, "6.5"),
        ("width:>1024", Compare.MORE, "1024"),
        ("seed:18446744073709551615", Compare.IS, "18446744073709551615"),
    ],
)
def test_ordered_fields_are_compared(text: str, compare: Compare, value: str) -> None:
    assert part(text) == Filter(field=text.split(":")[0], value=value, compare=compare)


def test_a_node_carries_its_own_comparison() -> None:
    assert part("node:KSampler.cfg>6") == Filter(field="node", value="KSampler.cfg>6")


def test_asking_for_all_is_noticed_wherever_it_stands() -> None:
    assert parse("fox (is:all OR owl)").everything
    assert not parse("fox is:disclosed").everything


@pytest.mark.parametrize(
    ("text", "position", "hint"),
    [
        ("fox colour:red", 4, "fields are model"),
        ('fox "red', 4, "close it"),
        ("(fox", 0, "close it with )"),
        ("fox)", 3, "in quotes"),
        ("fox OR", 4, "fox OR owl"),
        ("OR fox", 0, "fox OR owl"),
        ("seed:abc", 5, "seed: takes"),
        ("seed:18446744073709551616", 5, "18446744073709551615"),
        ("seed:>3", 5, "seed: takes"),
        ("rating:6", 7, "0 to 5"),
        ("after:soon", 6, "7d"),
        ("fox model:", 10, "model: takes"),
        ("kind:picture", 5, "image"),
        ("sha256:abc", 7, "8 to 64"),
        ("node:KSampler.cfg>many", 5, "a number"),
        ("has:fun", 4, "children"),
        ("(" * 30 + "fox" + ")" * 30, 21, "20"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place_and_the_next_step(
    text: str, position: int, hint: str
) -> None:
    with pytest.raises(QueryNotUnderstood) as refused:
        parse(text)
    assert refused.value.facts["position"] == position
    assert refused.value.hint is not None
    assert hint in refused.value.hint
    assert f"character {position + 1}" in refused.value.detail


def test_too_much_is_refused_by_a_named_limit() -> None:
    with pytest.raises(QueryTooLarge, match="characters"):
        parse("x" * (QUERY_LIMIT + 1))
    with pytest.raises(QueryNotUnderstood, match="too many words"):
        parse("x " * (TERMS_LIMIT + 1))


pieces = st.sampled_from(
    [
        *'()"-:*<>=. ',
        "OR",
        "fox",
        "red",
        "一只狐狸",
        "is:all",
        "\0",
        "\ud800",
        "<lora:x:0.8>",
        *[f"{name}:" for name in FIELDS],
        "3",
        "7d",
        ">=",
        "KSampler.cfg>6",
    ]
)


@settings(max_examples=tries(120), deadline=None)
@given(st.lists(pieces, max_size=25).map("".join) | st.text(max_size=60))
def test_any_text_is_a_search_or_refused_and_its_spelling_is_the_same_search(text: str) -> None:
    refused: QueryNotUnderstood | None = None
    query = Query(part=None)
    try:
        query = parse(text)
    except QueryNotUnderstood as error:
        refused = error
    if refused is None:
        assert parse(spell(query)) == query
    else:
        position = refused.facts["position"]
        assert isinstance(position, int)
        assert 0 <= position <= len(text)
        assert refused.hint


words = st.text(alphabet="abcdefgh", min_size=1, max_size=6)
terms: st.SearchStrategy[Part] = st.one_of(
    st.builds(Term, text=words, prefix=st.booleans()),
    st.builds(Term, text=st.text(alphabet="ab -()*", max_size=8), phrase=st.just(True)),
    st.builds(Filter, field=st.sampled_from(["model", "tag", "lora"]), value=words),
    st.builds(Filter, field=st.just("steps"), value=st.integers(0, 99).map(str), compare=st.sampled_from(Compare)),
)


def joined(parts: list[Part], kind: type[All] | type[Any]) -> Part:
    flat: list[Part] = []
    for one in parts:
        flat += one.parts if isinstance(one, kind) else [one]
    return kind(parts=tuple(flat))


trees = st.recursive(
    terms,
    lambda inner: st.one_of(
        st.builds(lambda one: Not(part=one), inner),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: joined(parts, All)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: joined(parts, Any)),
    ),
    max_leaves=12,
)


@settings(max_examples=tries(60), deadline=None)
@given(trees)
def test_every_search_can_be_spelled(tree: Part) -> None:
    assert parse(spell(Query(part=tree))).part == tree
