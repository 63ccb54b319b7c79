"""The "did you mean" at the end of an error message."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """A clause that names the known word nearest to ``word``, or nothing.

    Args:
        word: What was given; anything but a string has no neighbour.
        known: The words that would have been understood.

    Returns:
        Such as ``"; did you mean 'hello'?"``, or the empty string.
    """
    if not isinstance(word, str):
        return ""
    from difflib import get_close_matches

    # A very long word cannot be a slip of the keyboard, and would be slow to compare.
    nearest = get_close_matches(word[:200], sorted(known), n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
