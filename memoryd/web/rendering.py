"""From values to pages: one Jinja environment that escapes everything, and the headers that a page carries."""

from __future__ import annotations

import datetime
import hashlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from memoryd import __version__
from memoryd.access.facts import Caller, Scope
from memoryd.foundation.ids import ProjectId

HERE = Path(__file__).parent
STATIC = HERE / "static"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
"""Nothing but our own files runs or is loaded, inline code included: a prompt that slipped through escaping stays text."""

API_PAGE_POLICY = CONTENT_SECURITY_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace(
    "img-src 'self' blob:", "img-src 'self' data:"
)
"""Swagger UI sets styles and small pictures inline; its page shows nothing that comes from a file."""

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
"""Characters that are not seen and change how those around them are: controls, and those that turn the direction.

Source: Unicode 17, UAX #9, section 2; "Trojan Source", CVE-2021-42574.
"""

_QUOTED = re.compile("`([^`]{1,300})`")


def _asset_version() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in STATIC.rglob("*.*") if path.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def shown_size(size: int) -> str:
    """Return bytes as people say them: 16162 is `15.8 KB`."""
    amount = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"


def shown_time(moment: datetime.datetime | None) -> str:
    """Return a moment as people read it, UTC."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S") if moment else "unknown"


def shown_span(seconds: float) -> str:
    """Return a length of time as people say it: 75 is `1 min 15 s`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def shown_name(name: object) -> str:
    """Return a name of one line with unseen characters spelled out, so that `gnp.exe` cannot pass for `exe.png`."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found.group()):04x}", str(name))


def shown_hint(hint: object) -> Markup:
    """Return a next step as HTML: everything escaped, and what stands in backticks shown as code."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(shown_name(hint)))))  # noqa: S704


def may(caller: Caller, scope: str, project: ProjectId | None = None) -> bool:
    """Tell whether to offer something: whether the caller may do it in the project, or in any where none is named."""
    wanted = Scope(scope)
    if project is None:
        return wanted in caller.scopes
    return wanted in caller.everywhere or wanted in caller.in_project.get(project, frozenset())


_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals.update(version=__version__, asset_version=_asset_version(), may=may)
_environment.filters.update(
    size=shown_size,
    time=shown_time,
    lasting=shown_span,
    name=shown_name,
    hint=shown_hint,
    path_part=lambda text: quote(str(text), safe=""),
)


def is_part(request: Request) -> bool:
    """Tell whether a page's own script asks, which takes a part of the page and puts it in its place."""
    return request.headers.get("HX-Request") == "true"


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page. Every value is escaped: texts in files are hostile input."""
    text = _environment.get_template(template).render(request=request, partial=is_part(request), **values)
    # Lone surrogates, which a manifest's JSON may spell, have no UTF-8.
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return HTMLResponse(clean, status_code=status, headers={"Cache-Control": "no-store", "Vary": "HX-Request"})
