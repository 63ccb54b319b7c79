"""The dashboard when a job is to run again and another has its unique key: that is said, and it stays."""

from __future__ import annotations

from typing import Any

import pytest
from rig import Rig, change, failed_rows, row_of, statuses
from site_of_a_test import Site


def taken(rig: Rig, status: str, number: int = 1) -> list[tuple[int, int]]:
    """Finished jobs whose keys others have by now; with the ids of those."""
    name = "give_up" if status == "failed" else "noop"
    ended = [rig.dispatch(name, unique_key=f"k{each}") for each in range(number)]
    rig.worker().drain()
    for each in ended:
        change(rig.store, each, status=status)
    return [(old, rig.dispatch("noop", unique_key=f"k{each}")) for each, old in enumerate(ended)]


def rows(rig: Rig, pairs: list[tuple[int, int]]) -> list[Any]:
    """Everything about them."""
    return [(row_of(rig.store, each), failed_rows(rig.store, each)) for pair in pairs for each in pair]


@pytest.mark.parametrize(("status", "button"), [("failed", "Retry"), ("completed", "Run again")])
def test_one(rig: Rig, site: Site, status: str, button: str) -> None:
    pairs = taken(rig, status)
    [(old, holder)], before = pairs, rows(rig, pairs)
    page = site.get(f"/jobs/{old}")
    after = site.press(page, button)
    assert (
        f"job {holder} has the unique key of job {old}: Run it again when that one has ended." in after.words
    )
    assert rows(rig, pairs) == before
    assert site.audit() == [("retry" if status == "failed" else "requeue", "refused", 0)]
    site.press(site.get(f"/jobs/{holder}"), "Cancel")
    assert f"Job {old} runs again." in site.press(page, button).words
    assert statuses(rig.store, [old, holder]) == ["queued", "cancelled"]


def test_one_that_was_forgotten(rig: Rig, site: Site) -> None:
    pairs = taken(rig, "failed")
    [(old, holder)] = pairs
    site.press(site.get("/failed"), "Forget")
    before = rows(rig, pairs)
    after = site.press(site.get(f"/jobs/{old}"), "Retry")
    assert f"job {holder} has the unique key of job {old}" in after.words
    assert rows(rig, pairs) == before


@pytest.mark.parametrize(
    ("status", "path", "q", "link", "button", "said"),
    [
        ("failed", "/failed", "", "Retry all …", "Retry them", "1 failed job retried."),
        (
            "cancelled",
            "/jobs",
            "status:cancelled",
            "Run all that match again …",
            "Run them again",
            "1 job run again.",
        ),
    ],
)
def test_all_that_match(
    rig: Rig, site: Site, status: str, path: str, q: str, link: str, button: str, said: str
) -> None:
    """Free ones run; of the others ten are named, and none is changed."""
    free = rig.dispatch("give_up", unique_key="free")
    rig.worker().drain()
    change(rig.store, free, status=status)
    pairs = taken(rig, status, 12)
    before = rows(rig, pairs)
    page = site.get(path, q=q)
    after = site.press(site.get(page.links[link]), button)
    named = ", ".join(f"{old} ({holder})" for old, holder in pairs[:10])
    assert f"{said} Left alone, with the job that has its unique key: {named} …." in after.words
    assert rows(rig, pairs) == before
    assert statuses(rig.store, [free]) == ["queued"]
    assert site.audit()[0][1:] == ("done", 1)


@pytest.mark.parametrize(
    ("status", "deed"), [("failed", "retry"), ("failed", "requeue"), ("completed", "requeue")]
)
def test_one_by_the_api(rig: Rig, site: Site, status: str, deed: str) -> None:
    pairs = taken(rig, status)
    [(old, holder)], before = pairs, rows(rig, pairs)
    answer = site.client.post(f"/api/jobs/{old}/{deed}")
    assert answer.status_code == 409
    assert answer.json()["error"] == f"job {holder} has the unique key of job {old}"
    assert rows(rig, pairs) == before
    change(rig.store, holder, status="completed")
    answer = site.client.post(f"/api/jobs/{old}/{deed}")
    assert (answer.status_code, answer.json()["queued"], answer.json()["conflicts"]) == (200, 1, [])


def test_all_by_the_api(rig: Rig, site: Site) -> None:
    free = rig.dispatch("give_up")
    pairs = taken(rig, "failed", 2)
    before = rows(rig, pairs)
    answer = site.client.post("/api/failed/retry", json={})
    conflicts = [
        {"id": old, "unique_key": f"k{number}", "holder": holder}
        for number, (old, holder) in enumerate(pairs)
    ]
    assert answer.status_code == 200
    assert answer.json() == {"queued": 1, "missing": 0, "elsewhere": 0, "conflicts": conflicts}
    assert rows(rig, pairs) == before
    assert statuses(rig.store, [free]) == ["queued"]


def test_a_unique_job_that_is_there(rig: Rig, site: Site) -> None:
    """The form and the API give it, and say that nothing is new."""
    types = rig.parts.registry.types
    types["hello"] = types["hello"].with_options(unique=True)
    first = rig.dispatch("hello")
    page = site.get("/types/hello")
    assert "unique" in page.words
    after = site.press(page, "Dispatch")
    assert f"Job {first} (hello) is there already, by its unique key." in after.words
    answer = site.client.post("/api/jobs", json={"type": "hello"})
    assert answer.json()["id"] == first
    assert site.audit() == [("dispatch", "done", 0)] * 2
