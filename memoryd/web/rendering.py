"""From values to pages: one Jinja environment that escapes everything, and the headers that a page carries."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from memoryd import __version__

HERE = Path(__file__).parent
STATIC = HERE / "static"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
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


def _asset_version() -> str:
    digest = hashlib.sha256()
    for path in sorted(STATIC.glob("*.*")):
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


_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals.update(version=__version__, asset_version=_asset_version())
_environment.filters.update(size=shown_size, time=shown_time, path_part=lambda text: quote(str(text), safe=""))


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page. Every value is escaped: texts in files are hostile input."""
    text = _environment.get_template(template).render(
        request=request, partial=request.headers.get("HX-Request") == "true", **values
    )
    return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-store"})
