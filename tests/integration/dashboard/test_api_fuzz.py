"""The API under requests that its own description leads to, and broken ones: it never fails, and is true.

The rows are shared by all examples of an address, so that some meet what others left.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from fuzzing import many, patience, tried
from house_of_a_test import House
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from test_api import ENTRIES, hello

from jobman_cli.dashboard.api.table import ENDPOINTS, ROOT

#: Requests of each kind for each address.
EXAMPLES = many(8, 0.4 / (2 * len(ENDPOINTS)))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
#: What is there; else nearly every answer were that there is no such thing.
THERE = {
    "id": range(10, 17),
    "name": ["hello", "tick", "thin", "default"],
    "uuid": ["text"],
    "type": ["hello", "text"],
    "attribs": [{}, {"name": "Ada"}],
    "since": ["1h", "2030-01-31", "2d"],
    "until": ["1h", "2030-01-31T12:00+08:00"],
    "queue": ["default", "text"],
}
NAMES = ("testserver", "localhost")


@pytest.fixture
def api(sqlite_template: Path, tmp_path: Path) -> Iterator[schemathesis.BaseSchema]:
    house = House(sqlite_template, tmp_path, [hello], dashboard={"hosts": NAMES}, schedule=ENTRIES)
    house.fill("text")
    yield schemathesis.openapi.from_asgi("/api/openapi.json", house.app)
    house.close()


def name_what_is_there(data: st.DataObject, case: schemathesis.Case) -> None:
    """Put what exists in the place of some of what was made up."""
    for part in (case.path_parameters, case.query, case.body):
        for name in sorted(THERE.keys() & part.keys()) if isinstance(part, dict) else ():
            if data.draw(st.integers(0, 3), name):
                part[name] = data.draw(st.sampled_from(THERE[name]), name)


@pytest.mark.timeout(patience(120))
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), [(each.method, ROOT + each.path) for each in ENDPOINTS])
def test_it_is_true_to_its_description(
    api: schemathesis.BaseSchema, method: str, path: str, mode: GenerationMode
) -> None:
    operation = api[path][method]
    if mode is GenerationMode.NEGATIVE and not (
        operation.path_parameters or operation.query or operation.body
    ):
        return  # there is nothing that could be wrong
    broken = [negative_data_rejection] if mode is GenerationMode.NEGATIVE else []

    @given(data=st.data(), case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    def examples(data: st.DataObject, case: schemathesis.Case) -> None:
        if mode is GenerationMode.POSITIVE:
            name_what_is_there(data, case)
        tried("HTTP")
        case.call_and_validate(checks=[*CHECKS, *broken])

    examples()
