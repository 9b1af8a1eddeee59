"""Which names tenants, projects and people may have: short words that fit paths, addresses and the query language."""

from __future__ import annotations

import re

from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.texts import storable

TENANT_SLUG_LIMIT = 40
"""Characters: `memoryd_t_<slug>_<8 hex>` must fit 63. Source: Postgres, NAMEDATALEN."""

PROJECT_SLUG_LIMIT = 63
LOGIN_LIMIT = 254
"""Characters. Source: RFC 5321, the longest address, which logins often are."""

SHOWN_NAME_LIMIT = 200

_TENANT_SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PROJECT_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]*")
_LOGIN = re.compile(r"[\w.@+-]+")


class BadName(NotAcceptable):
    """This name cannot be used."""


def checked_tenant_slug(slug: str) -> str:
    """Return the slug. Raises: BadName."""
    if len(slug) > TENANT_SLUG_LIMIT or not _TENANT_SLUG.fullmatch(slug):
        raise BadName(
            f"tenant {slug[:80]!r}",
            hint=f"lower-case letters, digits and single hyphens, a letter first, at most {TENANT_SLUG_LIMIT}",
        )
    return slug


def checked_project_slug(slug: str) -> str:
    """Return the slug. Raises: BadName."""
    if len(slug) > PROJECT_SLUG_LIMIT or not _PROJECT_SLUG.fullmatch(slug):
        raise BadName(
            f"project {slug[:80]!r}",
            hint=f"lower-case letters, digits, hyphens and underscores, at most {PROJECT_SLUG_LIMIT}",
        )
    return slug


def checked_login(login: str) -> str:
    """Return the login in lower case, so that one person is not two. Raises: BadName."""
    if len(login) > LOGIN_LIMIT or not _LOGIN.fullmatch(login):
        raise BadName(f"login {login[:80]!r}", hint=f"letters, digits and . _ @ + -, at most {LOGIN_LIMIT}")
    return login.lower()


def checked_shown_name(name: str) -> str:
    """Return the name without surrounding space, storable. Raises: BadName where nothing is left, or too much."""
    clean = storable(name.strip())[0]
    if not 0 < len(clean) <= SHOWN_NAME_LIMIT:
        raise BadName(f"{name[:80]!r}", hint=f"1 to {SHOWN_NAME_LIMIT} characters")
    return clean
