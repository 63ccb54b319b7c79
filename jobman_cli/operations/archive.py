"""The archive of a prune: gzip, one JSON object a line, ``{"table": …, "row": {…}}``.

Each batch of a prune is a gzip member of its own, on the disk before the batch's rows are deleted. So
whatever ends a prune, every row that is gone can be read back, and only the last batch can hold rows that
are not gone.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from jobman_cli.errors import InvalidOption, JobmanError


class ArchiveFailed(JobmanError):
    """The archive cannot be written; the batch at hand was not deleted."""

    hint = "Make room on the disk; what was deleted before is in the archive. Then prune into a new file."


class Archive:
    """A file that takes batches.

    Args:
        file: Open for writing, unbuffered.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self._kept = 0

    def write(self, rows: list[tuple[str, dict[str, Any]]]) -> None:
        """Put a batch on the disk, in the place of one that was written and not kept.

        Raises:
            ArchiveFailed: when that cannot be done.
        """
        lines = [
            json.dumps({"table": table, "row": row}, default=_plain, ensure_ascii=False) + "\n"
            for table, row in rows
        ]
        self._put(gzip.compress("".join(lines).encode(), mtime=0))

    def keep(self) -> None:
        """The rows are deleted: the next batch comes behind this one."""
        self._kept = self._file.tell()

    def end(self) -> None:
        """An archive without rows is to be readable as well."""
        if not self._kept:
            self._put(gzip.compress(b"", mtime=0))

    def _put(self, packed: bytes) -> None:
        try:
            self._file.seek(self._kept)
            self._file.truncate()
            view = memoryview(packed)
            while view:
                view = view[self._file.write(view) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ArchiveFailed(f"the archive {self._path} cannot be written: {error.strerror}") from error


@contextmanager
def open_archive(path: Path | None) -> Iterator[Archive | None]:
    """A new archive; None without a path.

    Raises:
        InvalidOption: when the file exists already or cannot be made.
    """
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidOption(
            f"the archive {path} cannot be made: {reason}",
            hint="Name a new file in a directory you may write.",
        ) from error
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        _sync_name(path)
        archive = Archive(file, path)
        yield archive
        archive.end()


def _sync_name(path: Path) -> None:
    """A file's name is in its directory, which has to reach the disk as well."""
    with suppress(OSError):  # some file systems cannot
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_archive(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of an archive, in the order in which they were written.

    Of an archive whose prune was killed, all whole batches are given before the error, and some rows of the
    one that is cut off, which were not deleted.

    Raises:
        InvalidOption: when the file cannot be read as one, or its end is cut off.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                yield entry["table"], entry["row"]
    except EOFError as error:
        raise InvalidOption(f"{path} ends too soon: its prune was interrupted") from error
    except (OSError, ValueError, KeyError, TypeError, zlib.error) as error:
        raise InvalidOption(f"{path} is no archive of a prune: {error}") from error


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} in a row")
