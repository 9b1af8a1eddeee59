"""The words of pictures that are alike: what always stands in their search documents is spelled once."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from memoryd.catalog.search_document import WORDS_TEXT_LIMIT, document_marks
from memoryd.words.tokens import plain_words, tsvector_text
from memoryd.workflows.facts import Parameters, Polarity
from memoryd.workflows.templates import Literal, Parts, text_of

WORDS_REMEMBERED = 256
"""Negative prompts whose words are remembered."""

WORDS_REMEMBERED_LIMIT = 1_000
"""Characters of a negative prompt whose words are remembered: people write few of them, and use them for years."""

SHORT_TEXT_LIMIT = 20_000
"""Characters of prompts that keep a search document below the limits of a tsvector, whatever they are."""

MARKS_LIMIT = 60_000
"""Characters of marks that do."""


class AlikeWords:
    """Makes what `search_words` gives of the same facts with other texts."""

    __slots__ = ("_begins", "_marks", "_negative", "_positive")

    def __init__(self, parameters: Parameters, texts: Sequence[tuple[Polarity, Parts]]) -> None:
        """`texts` are those of the prompts, in order, with places."""
        self._marks = document_marks(parameters)
        # Marks have a colon after their first letter, words of negative prompts a hyphen before them, others neither:
        # none is twice in the document.
        short = sum(map(len, self._marks)) + len(self._marks) <= MARKS_LIMIT
        self._begins = tsvector_text("", marks=self._marks) if short else None
        self._positive = tuple([parts for polarity, parts in texts if polarity is Polarity.POSITIVE])
        self._negative = tuple([parts for polarity, parts in texts if polarity is Polarity.NEGATIVE])

    def filled(self, values: Sequence[Literal]) -> str:
        """Return the words with these values."""
        positive = _joined(self._positive, values)
        negative = _joined(self._negative, values)
        if self._begins is not None and len(positive) + len(negative) <= SHORT_TEXT_LIMIT:
            words = plain_words(positive)
            if words is not None:
                return " ".join([part for part in (self._begins, words, _negative(negative)) if part])
        return tsvector_text(positive[:WORDS_TEXT_LIMIT], negative[:WORDS_TEXT_LIMIT], marks=self._marks)


def _joined(texts: Sequence[Parts], values: Sequence[Literal]) -> str:
    if len(texts) == 1:
        return text_of(texts[0], values)
    # A text that several samplers share is one text.
    return "\n".join(dict.fromkeys([text_of(parts, values) for parts in texts]))


def _negative(text: str) -> str:
    return _words_of(text) if len(text) <= WORDS_REMEMBERED_LIMIT else _words_of.__wrapped__(text)


@functools.lru_cache(WORDS_REMEMBERED)
def _words_of(text: str) -> str:
    return tsvector_text("", text)
