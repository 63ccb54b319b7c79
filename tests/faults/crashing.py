"""`jobman`, but the process ends without a word at a named point. The product knows nothing of it.

    CRASH_AT=claimed,finished CRASH_TOKENS=DIRECTORY python crashing.py run-worker …

Each point wraps one function of the product where it is called. It strikes once in all processes
together: whoever makes the file `DIRECTORY/POINT` first is the one that ends, by `_exit`, which runs no
handler and sends no goodbye. With `CRASH_SKIP=n` the first n visits pass.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXIT = 99


def always(*_: Any) -> bool:
    return True


@dataclass(frozen=True)
class Point:
    """Where to end.

    Attributes:
        target: `module:attribute` or `module:Class.method`, in the module that calls it.
        after: Once it has returned; else before it is called.
        when: Given the positional arguments.
    """

    target: str
    after: bool = False
    when: Callable[..., bool] = always


def has_ticket(_turn: Any, _finishes: Any, ticket: Any) -> bool:
    return ticket is not None


def has_finishes(_turn: Any, finishes: Any, _ticket: Any) -> bool:
    return bool(finishes)


def some(_self: Any, given: Any, *_: Any) -> bool:
    return bool(given)


def third(_self: Any, _connection: Any, _dialect: Any, finishes: Any) -> bool:
    return bool(finishes)


def ended(_self: Any, _claim: Any, finish: Any) -> bool:
    return bool(finish)


EXCHANGE = "jobman_cli.runtime.exchange"
COMPLETING = "jobman_cli.store.lifecycle.completing"
RESCUE = "jobman_cli.operations.rescue"

POINTS = {
    # dispatch
    "dispatch: inserted": Point("jobman_cli.operations.dispatch:insert_row", after=True),
    "dispatch: committed": Point("jobman_cli.operations.dispatch:_push"),
    "dispatch: pushed": Point("jobman_cli.operations.dispatch:_push", after=True),
    "dispatch many: inserted": Point("jobman_cli.operations.dispatch:insert_jobs", after=True),
    "dispatch many: committed": Point("jobman_cli.operations.dispatch:_push"),
    "dispatch together: inserted": Point("jobman_cli.operations.dispatch:insert_rows", after=True),
    "dispatch together: committed": Point("jobman_cli.operations.dispatch:_push"),
    "dispatch together: pushed": Point("jobman_cli.operations.dispatch:_push", after=True),
    # turn
    "turn: popped": Point(f"{EXCHANGE}:Exchange._commit", when=has_ticket),
    "turn: claimed": Point(f"{EXCHANGE}:Exchange._write", after=True),
    "turn: claim committed": Point("jobman_cli.runtime.worker:Turn._run", when=some),
    "turn: begun": Point("jobman_cli.runtime.runner:Runner.run"),
    "turn: ran": Point("jobman_cli.runtime.hand:Hand.finish", when=ended),
    # finish
    "finish: written": Point("jobman_cli.runtime.recorder:Recorder.write", after=True, when=third),
    "finish: committed": Point(f"{EXCHANGE}:Exchange._commit", after=True, when=has_finishes),
    "fail: written": Point("jobman_cli.runtime.recorder:fail", after=True),
    "completing: before": Point(f"{COMPLETING}:CompletingTransaction.commit"),
    "completing: written": Point(f"{COMPLETING}:complete", after=True),
    "completing: committed": Point(f"{COMPLETING}:CompletingTransaction.commit", after=True),
    "release: written": Point("jobman_cli.runtime.recorder:release", after=True),
    # requeue, retry, prune, cancel
    "requeue: written": Point("jobman_cli.operations.requeue:requeue_jobs", after=True),
    "requeue: committed": Point("jobman_cli.operations.requeue:push"),
    "retry: written": Point("jobman_cli.operations.failed:retry_failed", after=True),
    "retry: committed": Point("jobman_cli.operations.failed:push"),
    "prune: between": Point("jobman_cli.store.lifecycle.prune:_delete_range", after=True),
    "prune: written": Point("jobman_cli.operations.prune:prune_batch", after=True),
    # rescue and promote, in the maintenance and the supervisor
    "rescue: lost": Point(f"{RESCUE}:lose", after=True),
    "rescue: written": Point(f"{RESCUE}:take_back", after=True),
    "rescue: committed": Point(f"{RESCUE}:push"),
    "promote: written": Point("jobman_cli.operations.line:promote_due", after=True, when=always),
    "promote: committed": Point("jobman_cli.operations.line:push"),
    "pending: pushed": Point("jobman_cli.operations.line:mark_queued"),
    # rebuild
    "rebuild: owned": Point("jobman_cli.operations.reconcile:_push_all"),
    "rebuild: pushed": Point("jobman_cli.operations.reconcile:_push_all", after=True),
    "rebuild: finished": Point("jobman_cli.engine.rebuilding:RedisRebuilding.finish", after=True),
}


def arm(name: str, tokens: Path, skip: int) -> None:
    """Wrap the point's function."""
    point = POINTS[name]
    module, _, path = point.target.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, last = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    function = getattr(owner, last)
    left = [skip]

    def strike(arguments: tuple[Any, ...]) -> None:
        if not point.when(*arguments):
            return
        if left[0] > 0:
            left[0] -= 1
            return
        try:
            os.close(os.open(tokens / name.replace(" ", "_"), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os._exit(EXIT)

    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        if not point.after:
            strike(arguments)
        result = function(*arguments, **named)
        if point.after and (result or "promote" not in name):
            strike(arguments)
        return result

    setattr(owner, last, wrapped)


def main() -> None:
    for name in filter(None, os.environ.get("CRASH_AT", "").split(",")):
        arm(name, Path(os.environ["CRASH_TOKENS"]), int(os.environ.get("CRASH_SKIP", "0")))
    from jobman_cli.cli.main import main as jobman

    jobman()


if __name__ == "__main__":
    sys.path.pop(0)  # this directory is no part of the application
    main()
