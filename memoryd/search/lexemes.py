"""Words and names as the text of a tsquery; the same tokeniser as for documents, so that both mean the same. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from memoryd.catalog.search_document import mark, name_forms, quoted
from memoryd.search.facts import Term
from memoryd.words.tokens import CJK, tokens

_ONE_CJK = re.compile(f"[{CJK}]")


def term_query(term: Term) -> str | None:
    """Return the tsquery for words of a prompt; None where nothing can be searched for (punctuation alone).

    What is one word to people and several to the tokeniser (`best_quality`, a run of Chinese) must stand together.
    """
    found = _without_tails(list(tokens(term.text)))
    if not found:
        return None
    spelled: list[str] = []
    for index, (word, position) in enumerate(found):
        last = index == len(found) - 1
        # A single character of Chinese is no word of a document: every pair that begins with it is.
        begins = (term.prefix and last) or (len(word) == 1 and _ONE_CJK.match(word) is not None)
        if index:
            spelled.append(f"<{position - found[index - 1][1]}>")
        spelled.append(quoted(word) + (":*" if begins else ""))
    return f"({' '.join(spelled)})"


def _without_tails(found: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Leave out the last character of a run: in the document another may follow it, and a pair stands there."""
    kept: list[tuple[str, int]] = []
    for word, position in found:
        if kept and len(word) == 1 and kept[-1][1] == position - 1:
            before = kept[-1][0]
            if len(before) == 2 and before[1] == word and _ONE_CJK.match(word):
                continue
        kept.append((word, position))
    return kept


def negative_query(text: str) -> str | None:
    """Return the tsquery for words of a negative prompt, all of which must be there."""
    words = dict.fromkeys(word for word, _ in _without_tails(list(tokens(text))))
    return all_of(quoted(f"-{word}") for word in words)


def name_query(kinds: Iterable[str], name: str) -> str | None:
    """Return the tsquery for a name under one of these kinds of mark: whole, or all its parts; `*` is a beginning."""
    options = []
    for kind in kinds:
        if name.endswith("*"):
            options.append(quoted(mark(kind, name[:-1])) + ":*")
            continue
        whole, bare, parts = name_forms(kind, name)
        options += [quoted(whole), quoted(bare)]
        if parts:
            options.append(all_of(map(quoted, parts)) or "")
    return any_of(dict.fromkeys(options))


def all_of(queries: Iterable[str]) -> str | None:
    """Return the tsquery of which all must hold; None of nothing."""
    return _grouped(" & ", queries)


def any_of(queries: Iterable[str]) -> str | None:
    """Return the tsquery of which one must hold; None of nothing."""
    return _grouped(" | ", queries)


def _grouped(sign: str, queries: Iterable[str]) -> str | None:
    parts = list(queries)
    return f"({sign.join(parts)})" if parts else None
