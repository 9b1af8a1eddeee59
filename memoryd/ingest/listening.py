"""Whether the operating system's events can be relied on in a folder, and what to do where they cannot.

Three things make them fail without a word: a file system whose other writers are elsewhere (told by its type), one that
gives no events at all (told by a small file that is written to try), and the kernel's limit of watches, which leaves the
folders that came too late unheard.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
)

TRIAL_NAME = b".memoryd-trial"
"""A file that is written and removed to hear whether events come. Hidden, so that nothing takes it in."""

TRIAL_S = 3.0
"""How long the trial's event may take. Source: it comes within milliseconds where it comes at all."""

NO_EVENTS = "its file system gives no events: it is looked through instead"
NETWORK = "it lies on a network share, whose other writers give no events here: it is looked through instead"

EVENT_KINDS: list[type[FileSystemEvent]] = [
    *(FileCreatedEvent, FileClosedEvent, FileMovedEvent, FileDeletedEvent),
    *(DirCreatedEvent, DirMovedEvent, DirDeletedEvent),
]
"""What is listened to. Neither opening, reading nor each single write: a folder of videos in the making, and our own
reading, would fill the kernel's queue."""

_LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")
_IN_DELETE_SELF = 0x400


def watch_limit_met(folder: Path) -> bool:
    """Tell whether the kernel refuses one more watch: then some folders are not listened to, and nothing says which."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        return False
    descriptor = libc.inotify_init1(os.O_CLOEXEC)
    if descriptor < 0:
        return ctypes.get_errno() == errno.ENOSPC
    try:
        added = libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_DELETE_SELF)
        return bool(added < 0 and ctypes.get_errno() == errno.ENOSPC)
    finally:
        os.close(descriptor)


def watch_limit_hint() -> str:
    """Return what a person does about the limit of watches, with its present value."""
    now = 0
    with contextlib.suppress(OSError, ValueError):
        now = int(_LIMIT.read_text())
    wanted = max(524_288, 2 * now)
    return (
        f"the limit of watched folders is met (fs.inotify.max_user_watches = {now}): it is looked through instead; "
        f"raise it: sudo sysctl fs.inotify.max_user_watches={wanted} (and in /etc/sysctl.d/ to last), then start the "
        "watcher again"
    )


def write_trial(folder: Path) -> bool:
    """Write the trial's file and remove it; return whether that was possible (a read-only folder is believed)."""
    path = folder / os.fsdecode(TRIAL_NAME)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    os.close(descriptor)
    with contextlib.suppress(OSError):
        path.unlink()
    return True


def why_not(error: OSError) -> str:
    """Return in words why a folder cannot be listened to."""
    if error.errno == errno.ENOSPC:
        return watch_limit_hint()
    if error.errno == errno.EMFILE:
        return (
            "the limit of listeners is met: it is looked through instead; raise fs.inotify.max_user_instances with "
            "sysctl, then start the watcher again"
        )
    return f"it cannot be listened to ({error.strerror}): it is looked through instead"
