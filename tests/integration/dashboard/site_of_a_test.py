"""The pages as a browser without scripts sees them: addresses, forms, links."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from rig import Rig
from starlette.testclient import TestClient

from jobman_cli.app import Jobman
from jobman_cli.dashboard import create_app


class Page(HTMLParser):
    """What a page holds.

    Attributes:
        words: Its text, blanks made one.
        links: The addresses it leads to, by their text.
        forms: Each form's address and fields, by the text of its button.
        rows: The text of each cell of each row of its tables.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words = ""
        self.links: dict[str, str] = {}
        self.forms: dict[str, tuple[str, dict[str, str]]] = {}
        self.rows: list[list[str]] = []
        self._texts: list[str] = []
        self._opened: list[tuple[str, dict[str, str], int]] = []
        self._form: tuple[str, dict[str, str]] = ("", {})
        self.feed(html)
        self.words = " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = (given.get("action", ""), {})
        if tag == "input" and "name" in given:
            self._form[1][given["name"]] = given.get("value", "")
        if tag == "tr":
            self.rows.append([])
        self._opened.append((tag, given, len(self._texts)))

    def handle_data(self, data: str) -> None:
        self._texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self._opened and self._opened[-1][0] != tag:
            self._opened.pop()
        if not self._opened:
            return
        _, given, begin = self._opened.pop()
        text = " ".join("".join(self._texts[begin:]).split())
        if tag == "a":
            self.links[text] = given.get("href", "")
        elif tag == "button":
            self.forms[text] = self._form
        elif tag in ("td", "th"):
            self.rows[-1].append(text)


class Site:
    """The dashboard of a rig."""

    def __init__(self, rig: Rig, **options: Any) -> None:
        jobman = Jobman(rig.parts.settings)
        vars(jobman).update(
            registry=rig.parts.registry, database=rig.store, engine=rig.engine, parts=rig.parts
        )
        self.app = create_app(jobman, **options)
        self.client = TestClient(self.app, base_url="http://localhost", follow_redirects=True)

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str, status: int = 200, **query: Any) -> Page:
        answer = self.client.get(path, params=query or None)
        assert answer.status_code == status, answer.text
        return Page(answer.text)

    def press(self, page: Page, button: str, **fields: str) -> Page:
        """Send the form of a button; the page that comes of it."""
        action, given = page.forms[button]
        answer = self.client.post(action, data={**given, **fields})
        assert answer.status_code == 200, answer.text
        return Page(answer.text)

    def audit(self) -> list[tuple[str, str, int]]:
        """What was done, the newest first: action, outcome, number."""
        from jobman_cli.operations.journal import audits

        rows = audits(self.app.state.desk.records)
        return [(row.action, row.outcome, row.number) for row in rows]
