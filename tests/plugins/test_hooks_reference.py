"""docs/reference/hooks.md is in step with the specifications."""

import ast
import re
from pathlib import Path

from jobman_cli.hooks import specs
from jobman_cli.hooks.loader import HOOK_NAMES

REFERENCE = Path(__file__).resolve().parents[2] / "docs/reference/hooks.md"


def signatures():
    for node in ast.parse(Path(specs.__file__).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            assert ast.get_docstring(node), node.name
            yield node.name, f"def {node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"


def test_every_hook_is_there_with_its_signature_and_no_other():
    text = REFERENCE.read_text()
    sections = dict(re.findall(r"^## `(\w+)`\n\n```python\n(.*)\n```$", text, re.MULTILINE))
    assert sections == dict(signatures())
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == len(sections)
    assert set(sections) == set(HOOK_NAMES)
