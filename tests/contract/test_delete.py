"""Delete one finished job, on every database and engine."""

from __future__ import annotations

import pytest
from rig import Rig, attempts_of, change, failed_rows

from jobman_cli.core.states import FINAL, Status
from jobman_cli.errors import JobNotFound
from jobman_cli.operations import look
from jobman_cli.operations.delete import JobUnfinished, delete


def test_delete_takes_a_finished_job_with_all_that_belongs_to_it(rig: Rig) -> None:
    kept, gone = rig.dispatch("give_up"), rig.dispatch("give_up")
    rig.worker().drain()
    delete(rig.parts, gone)
    with pytest.raises(JobNotFound):
        look.show(rig.parts, gone)
    assert not attempts_of(rig.store, gone) and not failed_rows(rig.store, gone)
    assert attempts_of(rig.store, kept) and failed_rows(rig.store, kept)
    with pytest.raises(JobNotFound):
        delete(rig.parts, gone)


@pytest.mark.parametrize("status", sorted(set(Status) - FINAL))
def test_delete_refuses_what_is_not_finished(rig: Rig, status: str) -> None:
    job_id = rig.dispatch("noop")
    change(rig.store, job_id, status=status)
    with pytest.raises(JobUnfinished, match=f"is {status}"):
        delete(rig.parts, job_id)
    assert rig.row(job_id).status == status
