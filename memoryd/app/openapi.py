"""The API's description as a file: `python -m memoryd.app.openapi > schemas/openapi.json`; a test compares the two."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from memoryd.access.guards import Offices
from memoryd.app.http import make_app
from memoryd.foundation.database import Database
from memoryd.foundation.settings import Settings
from memoryd.storage.blob_store import BlobStore


def openapi_document() -> str:
    """Return the description of this version's API, as it is committed. Connects to nothing."""
    offices = Offices(
        settings=Settings(), database=Database("postgresql:///none"), store=BlobStore(Path("none")), keys=Path("none")
    )
    return json.dumps(make_app(offices).openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(openapi_document())
