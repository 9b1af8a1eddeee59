"""The report as one page: self-contained, everything in it escaped, no script, nothing loaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from memoryd.reports.facts import Report

PAGES = Path(__file__).parent / "pages"

_environment = Environment(
    loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def render_html(report: Report) -> bytes:
    """Return the report as HTML, UTF-8. It names the SHA-256 of the JSON report that it shows."""
    page = _environment.get_template("lineage_report.html.j2")
    text = page.render(report=report.document, sha256=hashlib.sha256(report.content).hexdigest())
    # Lone surrogates from files have no UTF-8.
    return text.encode("utf-8", "replace")
