from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.catalog.facts import FolderRule
from memoryd.ingest.folder_rules import PATTERN_LIMIT, RULES_LIMIT, BadRule, attribute, checked_rules, slug_of


def _told(pattern: str, path: str, **given: str) -> tuple[str | None, str | None] | None:
    (rule,) = checked_rules([FolderRule(pattern=pattern, **given)])
    said = attribute([rule], path.encode())
    return None if said is None else (said.project, said.person)


@pytest.mark.parametrize(
    ("pattern", "path", "told"),
    [
        ("{project}/{person}/**", "acme/bea/a.png", ("acme", "bea")),
        ("{project}/{person}/**", "acme/bea/deep/er/a.png", ("acme", "bea")),
        ("{project}/{person}/**", "acme/a.png", None),
        ("{project}/*", "acme/a.png", ("acme", None)),
        ("{project}/*", "acme/bea/a.png", None),
        ("**/{person}/final/*", "x/y/bea/final/a.png", (None, "bea")),
        ("**/{person}/final/*", "bea/final/a.png", (None, "bea")),
        ("20??/{project}_v*/**", "2026/acme_v2/a.png", ("acme", None)),
        ("{person}-*.png", "bea-0001.png", (None, "bea")),
        ("{project}/**", "Straße & Söhne/a b.png", ("Straße & Söhne", None)),
        ("[a]/{project}/**", "[a]/x/1.png", ("x", None)),
        ("[a]/{project}/**", "a/x/1.png", None),
    ],
)
def test_a_pattern_matches_the_whole_path(pattern: str, path: str, told: tuple[str | None, str | None] | None) -> None:
    assert _told(pattern, path) == told


def test_the_first_rule_that_matches_decides_and_a_given_name_beats_the_paths() -> None:
    rules = checked_rules(
        [FolderRule(pattern="tests/**", project="scratch"), FolderRule(pattern="{project}/**", person="bea")]
    )
    first, second = attribute(rules, b"tests/a.png"), attribute(rules, b"acme/a.png")
    assert first is not None
    assert second is not None
    assert (first.project, first.person, first.rule) == ("scratch", None, "tests/**")
    assert (second.project, second.person) == ("acme", "bea")
    assert _told("{project}/**", "acme/a.png", project="fixed") == ("fixed", None)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "/",
        "a//{project}",
        "../{project}/**",
        "{client}/**",
        "{project",
        "a**/{project}",
        "{project}/{project}/**",
        "no/names/**",
        "*a*b*c*{project}/**",
        "a" * (PATTERN_LIMIT + 1),
        "{project}\0/**",
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(pattern: str) -> None:
    with pytest.raises(BadRule):
        checked_rules([FolderRule(pattern=pattern)])


def test_a_root_has_so_many_rules_and_no_more() -> None:
    with pytest.raises(BadRule):
        checked_rules([FolderRule(pattern="{project}/**")] * (RULES_LIMIT + 1))


def test_a_windows_spelling_is_the_same_pattern() -> None:
    assert _told("{project}\\{person}\\**", "acme/bea/a.png") == ("acme", "bea")


_names = st.text(alphabet="ab.-_ ", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
_paths = st.lists(_names, min_size=1, max_size=6)
_segments = st.one_of(st.just("**"), st.text(alphabet="ab*?.", min_size=1, max_size=4))


def _reference(pattern: list[str], path: list[str]) -> bool:
    """The plain meaning of a pattern, without a memory of what was tried."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return any(_reference(pattern[1:], path[taken:]) for taken in range(len(path)))
    return bool(path) and fnmatch.fnmatchcase(path[0], pattern[0]) and _reference(pattern[1:], path[1:])


@settings(max_examples=150, deadline=None)
@given(st.lists(_segments, min_size=1, max_size=5), _paths)
def test_matching_means_what_a_plain_reading_of_the_pattern_means(pattern: list[str], path: list[str]) -> None:
    spelled = "/".join(pattern)
    try:
        (rule,) = checked_rules([FolderRule(pattern=spelled, project="p")])
    except BadRule:
        return
    assert (attribute([rule], "/".join(path).encode()) is not None) == _reference(pattern, path)


@settings(max_examples=60, deadline=None)
@given(_names, _names, _paths)
def test_what_a_path_says_is_what_was_put_into_it(project: str, person: str, rest: list[str]) -> None:
    path = "/".join([project, person, *rest])
    assert _told("{project}/{person}/**", path) == (project, person)


def test_many_wildcards_and_a_long_hostile_path_take_no_time_to_speak_of() -> None:
    (rule,) = checked_rules([FolderRule(pattern="/".join(["**", "*a*a*"] * 16), project="p")])
    assert attribute([rule], b"/".join([b"a" * 200] * 120 + [b"b"])) is None


@pytest.mark.parametrize(
    ("name", "slug"), [("Acme Inc.", "acme-inc"), ("ÄPFEL_2", "apfel_2"), ("新", None), ("--", None), ("x", "x")]
)
def test_a_folders_name_stands_for_a_slug(name: str, slug: str | None) -> None:
    assert slug_of(name) == slug
