"""The work that every system runs: a job that does nothing but write down when it began.

Where jobs are coroutines there is another: one that sleeps, and writes down when it began and ended.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from pathlib import Path

#: Seconds that ``nap`` sleeps.
NAP = 0.05
_file = -1


def body() -> None:
    """Append the time to the file that BENCH_STAMPS names: eight bytes, one write.

    A process that does so for the first time leaves its pid beside it: so the workers are known.
    """
    global _file
    if _file < 0:
        path = os.environ["BENCH_STAMPS"]
        _file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        Path(f"{path}.{os.getpid()}").touch()
    os.write(_file, struct.pack("d", time.time()))


async def nap() -> None:
    """Sleep; two stamps."""
    body()
    await asyncio.sleep(NAP)
    body()
