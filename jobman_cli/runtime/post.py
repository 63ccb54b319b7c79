"""One supervisor's place under the master."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobman_cli.runtime.child import Child
from jobman_cli.settings.blocks import Block


@dataclass(slots=True)
class Post:
    """One supervisor's place.

    Attributes:
        paused: What it was told last: one that takes its place begins like that.
    """

    block: Block
    paused: bool = False
    child: Child = field(init=False)

    def __post_init__(self) -> None:
        self.child = Child(f"supervisor {self.block.name}")

    def renew(self, block: Block) -> None:
        """Start anew at once, with these options."""
        self.block = block
        self.child.renew()
