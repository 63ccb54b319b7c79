"""The archive of a prune: gzip, one JSON object a line, ``{"table": …, "row": {…}}``."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from jobman_cli.errors import InvalidOption

Write = Callable[[list[tuple[str, dict[str, Any]]]], None]


@contextmanager
def open_archive(path: Path | None) -> Iterator[Write | None]:
    """A function that writes rows and returns when they are on the disk; None without a path.

    Raises:
        InvalidOption: when the file exists already or cannot be written.
    """
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidOption(
            f"the archive {path} cannot be made: {error.strerror}",
            hint="Name a new file in a directory you may write.",
        ) from error
    with os.fdopen(descriptor, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed:

        def write(rows: list[tuple[str, dict[str, Any]]]) -> None:
            for table, row in rows:
                line = json.dumps({"table": table, "row": row}, default=_plain, ensure_ascii=False)
                packed.write(line.encode() + b"\n")
            packed.flush(zlib.Z_SYNC_FLUSH)
            raw.flush()
            os.fsync(raw.fileno())

        yield write
    # The last bytes of the gzip stream.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_archive(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of an archive, in the order in which they were written.

    Raises:
        InvalidOption: when the file cannot be read as one.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                yield entry["table"], entry["row"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error) as error:
        raise InvalidOption(f"{path} is no archive of a prune: {error}") from error


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} in a row")
