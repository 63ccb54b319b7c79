"""jobman-prometheus: a real exporter, scraped over HTTP; its figures are the database's, whoever counted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from first_party import PLUGINS, install
from processes import JobmanProcess, jobman_environment, wait_until
from prometheus_client.parser import text_string_to_metric_families

from jobman_cli.app import Jobman
from jobman_cli.operations.alerts import raise_alert
from jobman_cli.store.schema import upgrade

JOBS = """
from jobman_cli import Context, job

@job("good")
def good(ctx: Context) -> None: ...

@job("bad", tries=1, queue="other")
def bad(ctx: Context) -> None:
    raise ValueError("no")
"""


class Exporter:
    """A project, and `jobman prometheus` in it."""

    def __init__(self, path: Path, start: Callable[..., JobmanProcess], database: str, queue: str) -> None:
        site = path / "site"
        site.mkdir()
        folder = install("prometheus", site)
        (path / "jobs_to_scrape.py").write_text(JOBS)
        self.config = path / "jobman.yaml"
        self.config.write_text(
            f"modules: [jobs_to_scrape]\nplugins: [prometheus]\ndatabase: {database}\nqueue: {queue}\n"
            "plugin_options: {prometheus: {port: 0}}\n"
        )
        plain = jobman_environment()
        self.env = {"PYTHONPATH": f"{site}:{folder}:{plain['PYTHONPATH']}"}
        self.path = path
        self.jobman = Jobman.from_config(self.config)
        upgrade(self.jobman.bare_database)
        self.process = start("--config", self.config, "prometheus", cwd=path, env=self.env)
        said = wait_until(lambda: re.search(r"http://\S+/metrics", self.process.stderr), 20)
        self.url = said[0]

    def scrape(self) -> dict[str, dict[tuple[str, ...], float]]:
        with urllib.request.urlopen(self.url, timeout=20) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            text = answer.read().decode()
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[
                    tuple(sample.labels[name] for name in sorted(sample.labels))
                ] = sample.value
        return found

    def work(self) -> None:
        command = [sys.executable, "-m", "jobman_cli", "--config", str(self.config), "run-worker"]
        subprocess.run(
            [*command, "--queue", "default", "--queue", "other", "--concurrency", "2", "--stop-when-empty"],
            env=jobman_environment(self.env),
            cwd=self.path,
            check=True,
            timeout=60,
            capture_output=True,
        )


@pytest.fixture
def exporter(
    tmp_path: Path,
    start_jobman: Callable[..., JobmanProcess],
    database_url: str,
    queue_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Exporter]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    found = Exporter(tmp_path, start_jobman, database_url, queue_url)
    yield found
    found.jobman.close()
    sys.modules.pop("jobs_to_scrape", None)


@pytest.mark.parametrize(
    ("database_url", "queue_url"),
    [("sqlite", "database"), ("postgresql", "redis"), ("mariadb", "redis")],
    indirect=True,
)
def test_a_scrape(exporter: Exporter) -> None:
    empty = exporter.scrape()
    assert empty["jobman_up"] == {(): 1}
    assert "jobman_attempts_total" not in empty
    exporter.jobman.dispatch_many("good", ({} for _ in range(30)))
    exporter.jobman.dispatch("bad")
    exporter.work()  # two workers, gone by now: nothing is counted in this process
    exporter.jobman.dispatch("good", tags=["x"])
    exporter.jobman.dispatch("good", delay=3600)
    raise_alert(exporter.jobman.parts, "long-wait", "long-wait:default", "slow")

    def is_fresh() -> Any:
        found = exporter.scrape()
        return found if found.get("jobman_alerts") else None

    found = wait_until(is_fresh, 10)
    attempts = found["jobman_attempts_total"]
    assert attempts["completed", "default", "good"] == 30
    assert (attempts["failed", "other", "bad"], attempts["completed", "other", "bad"]) == (1, 0)
    assert found["jobman_failed_jobs_total"]["other", "bad"] == 1
    assert found["jobman_runtime_seconds_count"]["default", "good"] == 30
    assert 0 < found["jobman_runtime_seconds_sum"]["default", "good"] < 10
    assert found["jobman_wait_seconds_count"]["default", "good"] == 30
    assert found["jobman_recent_runtime_seconds"]["0.95", "good"] > 0
    assert found["jobman_jobs"] == {
        ("pending",): 0,
        ("queued",): 1,
        ("scheduled",): 1,
        ("running",): 0,
        ("failed",): 1,
    }
    assert found["jobman_queue_size"]["default",] == 1
    assert found["jobman_queue_workers"]["default",] == 0
    assert found["jobman_queue_oldest_seconds"]["default",] >= 0
    assert ("default",) not in found.get("jobman_queue_expected_wait_seconds", {})
    assert found["jobman_alerts"] == {("long-wait",): 1}
    assert found["jobman_queue_up"] == {(): 1}
    in_redis = exporter.jobman.settings.queue != "database"
    assert found.get("jobman_queue_line", {}).get(("default",)) == (1 if in_redis else None)
    exporter.process.terminate()
    assert exporter.process.wait() == 0


@pytest.mark.parametrize(("database_url", "queue_url"), [("postgresql", "database")], indirect=True)
def test_a_database_that_is_away(exporter: Exporter, postgres_server: Any) -> None:
    assert exporter.scrape()["jobman_up"] == {(): 1}
    postgres_server.kill()
    found = wait_until(lambda: (now := exporter.scrape())["jobman_up"] == {(): 0} and now, 15)
    assert set(found) == {"jobman_up"}
    postgres_server.ensure_running()
    wait_until(lambda: exporter.scrape()["jobman_up"] == {(): 1}, 15)


def test_the_readme_names_every_metric() -> None:
    folder = PLUGINS / "jobman-prometheus"
    source = (folder / "jobman_prometheus/collector.py").read_text()
    made = {
        name.removeprefix("jobman_") for name in re.findall(r'(?:_gauge|Family|\()\(?\s*"(\w+)", "', source)
    }
    table = set(re.findall(r"`jobman_(\w+)`", (folder / "README.md").read_text()))
    assert {name.removesuffix("_total") for name in table} == made


def test_the_dashboard_shows_what_a_scrape_would_get(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starlette.testclient import TestClient

    from jobman_cli.dashboard import create_app

    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr(sys, "path", [str(site), str(install("prometheus", site)), *sys.path])
    config = tmp_path / "jobman.yaml"
    config.write_text(f"plugins: [prometheus]\ndatabase: {sqlite_url}\n")
    jobman = Jobman.from_config(config)
    raise_alert(jobman.parts, "<b>", "<b>:default", "slow")
    with TestClient(create_app(jobman), base_url="http://localhost") as client:
        assert "/plugins/prometheus/figures" in client.get("/plugins").text
        shown = client.get("/plugins/prometheus/figures")
    assert shown.status_code == 200 and "jobman_up 1.0" in shown.text
    assert "jobman_alerts{kind=&quot;&lt;b&gt;&quot;} 1.0" in shown.text and "<b>" not in shown.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{port: 0}", None),
        ("{port: abc}", "'abc' is no port"),
        ("{port: 65536}", "65536 is no port"),
        ("{host: 1}", "write an address"),
        ("{prot: 9464}", "no option prot"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: str, said: str | None) -> None:
    folder = install("prometheus", tmp_path)
    (tmp_path / "jobman.yaml").write_text(
        f"plugins: [prometheus]\nplugin_options: {{prometheus: {options}}}\n"
    )
    plain = jobman_environment()
    env = plain | {"PYTHONPATH": f"{tmp_path}:{folder}:{plain['PYTHONPATH']}"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "jobman_cli", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)

    checks = {each["check"]: each for each in json.loads(run("doctor", "--json").stdout)}
    found = checks["prometheus: options"]
    assert found["verdict"] == ("ok" if said is None else "fail")
    if said is not None:
        assert said in found["line"]
        refused = run("prometheus")
        assert refused.returncode == 78 and said in refused.stderr and "hint: " in refused.stderr
