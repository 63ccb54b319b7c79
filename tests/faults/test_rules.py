"""The page that names a test for each rule."""

from __future__ import annotations

import re

from processes import ROOT

PAGE = ROOT / "docs/explanation/rules.md"
LINE = re.compile(r"^\| (\d+) †?\s*\|[^|]+\| (.+) \|$")


def named_tests() -> dict[int, list[str]]:
    rows = (LINE.match(line) for line in PAGE.read_text().splitlines())
    return {int(row[1]): re.findall(r"`([^`]+::[^`]+)`", row[2]) for row in rows if row}


def test_the_page_names_a_test_for_each_rule() -> None:
    named = named_tests()
    assert sorted(named) == list(range(1, 27))
    for number, tests in named.items():
        assert tests, f"rule {number} names no test"
        for test in tests:
            path, *inside = test.split("::")
            text = (ROOT / path).read_text()
            for part in inside:
                assert re.search(rf"^\s*(def|class) {part}\b", text, re.MULTILINE), f"rule {number}: {test}"
