"""Settings: read once, from the environment (`MEMORYD_…`); everything has a default that works on one machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.sizes import BadSize, parse_size

SECRET_MODE = 0o600
SECRET_FOLDER_MODE = 0o700

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    BeforeValidator(lambda said: said.strip().upper() if isinstance(said, str) else said),
]


def _size(said: object) -> object:
    try:
        return parse_size(said) if isinstance(said, str) else said
    except BadSize as error:
        raise ValueError(f"{error.title} {error.hint}") from None


Bytes = Annotated[int, BeforeValidator(_size)]


class SettingUnusable(NotAcceptable):
    """A setting has a value that it cannot have."""


class Settings(BaseSettings):
    """What an operator may set. Each field is the environment variable of the same name with `MEMORYD_` before it."""

    model_config = SettingsConfigDict(env_prefix="MEMORYD_", extra="ignore")

    home: Path = Field(default_factory=lambda: Path.home() / ".memoryd", description="where keys, blobs and state lie")
    database_url: SecretStr | None = Field(default=None, description="an external Postgres (16+, pgvector 0.8+)")
    host: str = Field(default="127.0.0.1", description="address the server listens on")
    port: int = Field(default=7860, description="port the server listens on; 0 picks a free one")
    tls_cert: Path | None = Field(default=None, description="certificate chain, PEM: needed off loopback")
    tls_key: Path | None = Field(default=None, description="its key, PEM")
    tls_ca: Path | None = Field(
        default=None, description="certificates of servers to trust, PEM, besides the public ones"
    )
    proxy: str | None = Field(default=None, description="address of the one proxy in front of the server, if any")
    webhook_loopback: bool = Field(
        default=False, description="webhooks may go to this machine itself, even where others can reach the server"
    )
    local_person: bool = Field(default=True, description="on loopback without a proxy, who asks is the local person")
    url: str | None = Field(default=None, description="server that commands speak to")
    key: SecretStr | None = Field(default=None, description="API key that commands send")
    tenant: str = Field(default="default", description="tenant of commands and of the local person")
    removal_days: int = Field(default=30, ge=1, description="days for which a file in a trash can be brought back")
    model_store_limit: Bytes | None = Field(
        default=None, description="room that a tenant's model store may take, such as 500G"
    )
    model_lookups: Literal["off", "civitai"] = Field(
        default="off", description="public service that may be asked about a model by its hash"
    )
    log_level: LogLevel = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")

    def __init__(self, **given: object) -> None:
        """Read what is not given from the environment. Raises: SettingUnusable."""
        try:
            super().__init__(**given)  # type: ignore[arg-type]
        except ValidationError as error:
            # Never the value itself: it may be a password.
            wrong = "; ".join(
                f"MEMORYD_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}"
                for item in error.errors(include_input=False, include_url=False)
            )
            raise SettingUnusable(wrong, hint="correct it, or unset it; docs/settings.md lists all") from None

    @property
    def secrets_folder(self) -> Path:
        """Where key files lie (mode 700, files 600)."""
        return self.home / "keys"


def write_secret(path: Path, content: bytes) -> None:
    """Write a secret file that never exists with a wider mode than 600, and is never half there.

    Raises: OSError from the file system.
    """
    path.parent.mkdir(mode=SECRET_FOLDER_MODE, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, SECRET_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
