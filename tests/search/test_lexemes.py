from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from memoryd.catalog.search_document import document_marks
from memoryd.foundation.database import Session
from memoryd.search.facts import Term
from memoryd.search.lexemes import name_query, negative_query, term_query
from memoryd.words.tokens import tsvector_text
from memoryd.workflows.facts import ModelUse, Parameters

ALPHABET = "ab _-'\\:*&|!()<>一只红色的狐狸é０Ａ\0\ud800"


def test_a_run_of_chinese_must_stand_together() -> None:
    assert term_query(Term(text="红色")) == "('红色')"
    assert term_query(Term(text="红色的")) == "('红色' <1> '色的')"
    assert term_query(Term(text="红")) == "('红':*)"


def test_punctuation_asks_for_nothing() -> None:
    assert term_query(Term(text="... !!")) is None
    assert negative_query("...") is None


def test_any_words_are_found_in_the_text_that_they_are_part_of(session: Session) -> None:
    """Whatever is typed is a tsquery that Postgres takes, and finds the document that holds it."""

    @settings(max_examples=150, deadline=None)
    @given(st.text(alphabet=ALPHABET, max_size=12), st.booleans())
    def check(typed: str, phrase: bool) -> None:
        query = term_query(Term(text=typed, phrase=phrase))
        if query is not None:
            document = tsvector_text(f"before. {typed} . after")
            found = session.execute(
                text("select cast(:d as tsvector) @@ cast(:q as tsquery)"), {"d": document, "q": query}
            ).scalar_one()
            assert found, (typed, document, query)

    check()


def test_any_name_is_found_whole_and_by_its_beginning(session: Session) -> None:
    @settings(max_examples=150, deadline=None)
    @given(st.text(alphabet=ALPHABET + "/.", min_size=1, max_size=12).filter(lambda name: bool(name.strip())))
    def check(name: str) -> None:
        model = ModelUse(node="1", input="x", class_type="L", role="loras", name=name)
        document = tsvector_text("", marks=document_marks(Parameters(node="9", models=(model,))))
        for asked in (name.rstrip("*"), name[: len(name) // 2] + "*"):
            query = name_query("l", asked)
            assert query is not None
            found = session.execute(
                text("select cast(:d as tsvector) @@ cast(:q as tsquery)"), {"d": document, "q": query}
            ).scalar_one()
            assert found or asked != name, (name, asked, document, query)

    check()
