"""What a line holds of a job: its id, nineteen digits, and nothing else.

It must not know Huey: whoever only looks at lines need not load what runs jobs.
"""

from __future__ import annotations

from jobman_cli.core.clock import ID_WIDTH

_MAX_ID = 2**63 - 1


def member(job_id: int) -> bytes:
    """A job's id as a line holds it: padded, so that equal ranks sort by id."""
    return b"%0*d" % (ID_WIDTH, job_id)


def parse_member(data: object) -> int | None:
    """The id in a line's member, or None for rubbish. Never raises."""
    if not isinstance(data, bytes) or len(data) != ID_WIDTH or not data.isdigit():
        return None
    number = int(data)
    return number if 0 < number <= _MAX_ID else None
