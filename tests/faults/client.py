"""A client of the application: dispatches jobs and notes each acknowledged id in a file.

    python client.py CONFIG FILE COUNT TYPE ATTRIBS PAUSE [MANY]

An id is written only after `dispatch` has returned, in one `write` to a file opened for appending. What
raised was not acknowledged: such a row may be there or not, and the oracle asks nothing of it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time

from jobman_cli.app import Jobman
from jobman_cli.errors import StoreUnavailable


def main() -> None:
    config, path, count, job_type, attribs, pause, many = [*sys.argv[1:], "0"][:7]
    logging.disable(logging.CRITICAL)
    jobman = Jobman.from_config(config)
    given, left, size = json.loads(attribs), int(count), int(many) or 1
    while True:
        try:
            jobman.parts  # noqa: B018 - asks the database for its tables
        except StoreUnavailable:
            time.sleep(0.05)  # between two questions: the predicate is the answer
        else:
            break
    jobman.parts.registry.find(job_type).check()  # what a first dispatch imports and builds is not measured
    slowest = 0.0
    file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    while left > 0:
        began = time.monotonic()
        try:
            if size > 1:
                ids = list(jobman.dispatch_many(job_type, [given] * min(size, left)))
            else:
                ids = [jobman.dispatch(job_type, given).id]
        except StoreUnavailable:
            time.sleep(0.05)  # a client that tries again, as people's do; the row tells whether it arrived
            continue
        slowest = max(slowest, time.monotonic() - began)
        os.write(file, "".join(f"{job_id}\n" for job_id in ids).encode())
        left -= len(ids)
        time.sleep(float(pause))
    print(json.dumps({"slowest": slowest}))


main()
