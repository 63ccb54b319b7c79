"""The configuration: where values come from, what they may be, and how faults are told."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
from fuzzing import many, patience, tried
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobman_cli.errors import EXIT_CONFIG, ConfigurationError
from jobman_cli.settings import NO_LIMIT, SUPERVISOR_DEFAULTS, JobOverride, Settings, load_settings, mask_url
from jobman_cli.settings.model import DASHBOARD_DEFAULTS

REPOSITORY = Path(__file__).parents[2]


class Project:
    """A directory with a configuration file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "config" / "jobman.yaml"

    def write(self, text: str | bytes) -> None:
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def load(
        self, text: str | bytes | None = None, /, flags: dict[str, Any] | None = None, **env: str
    ) -> Settings:
        if text is not None:
            self.write(text)
        return load_settings(None, flags, environ=env, cwd=self.root)

    def faults(
        self, text: str | bytes | None = None, /, flags: dict[str, Any] | None = None, **env: str
    ) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            self.load(text, flags, **env)
        assert caught.value.exit_code == EXIT_CONFIG
        assert caught.value.hint
        return str(caught.value).splitlines()

    def fault(
        self, text: str | bytes | None = None, /, flags: dict[str, Any] | None = None, **env: str
    ) -> str:
        (line,) = self.faults(text, flags, **env)
        return line


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


class TestDefaults:
    def test_no_file_works(self, project: Project) -> None:
        loaded = project.load()
        assert loaded == Settings(
            root=project.root, database=f"sqlite:///{project.root}/var/jobman.db", origins=loaded.origins
        )
        assert loaded.path is None
        assert loaded.queue == "database"
        assert set(loaded.origins.values()) == {"default"}
        assert loaded.supervisors == {"default": SUPERVISOR_DEFAULTS}

    @pytest.mark.parametrize(
        "text", ["", "# nothing\n", "---\n", "null\n", "plugins:\njobs:\ndatabase:\n", "{}"]
    )
    def test_a_file_that_sets_nothing_is_all_defaults(self, project: Project, text: str) -> None:
        loaded = project.load(text)
        assert (loaded.plugins, loaded.jobs) == ((), {})
        assert loaded.database == f"sqlite:///{project.root}/var/jobman.db"
        assert loaded.origins["plugins"] == "default"

    def test_every_setting_has_an_origin(self, project: Project) -> None:
        names = {each.name for each in fields(Settings)} - {"path", "root", "origins"}
        assert set(project.load().origins) == names

    def test_values_are_final(self, project: Project) -> None:
        loaded = project.load("plugins: [a, b]\nheartbeat: 4")
        with pytest.raises(FrozenInstanceError):
            loaded.queue = "redis://x"  # type: ignore[misc]
        assert loaded.plugins == ("a", "b")
        assert type(loaded.heartbeat) is float
        assert pickle.loads(pickle.dumps(loaded)) == loaded

    def test_the_shipped_file_works_as_it_is(self) -> None:
        loaded = load_settings(environ={}, cwd=REPOSITORY)
        assert loaded.path == REPOSITORY / "config" / "jobman.yaml"
        assert loaded.root == REPOSITORY
        assert loaded.database == f"sqlite:///{REPOSITORY}/var/jobman.db"
        assert (loaded.queue, loaded.plugins) == ("database", ("hello",))
        assert loaded.schedule[0]["options"] == {"days": 180}

    def test_what_the_shipped_file_comments_out_is_the_default(self, project: Project) -> None:
        text = (REPOSITORY / "config" / "jobman.yaml").read_text()
        shown = "\n".join(re.findall(r"^# ([a-z_]+: +[^ #].*)$", text, re.MULTILINE))
        loaded, default = project.load(shown), Settings(root=project.root, database="")
        names = {line.partition(":")[0] for line in shown.splitlines()}
        assert len(names) == 11
        assert {name: getattr(loaded, name) for name in names} == {
            name: getattr(default, name) for name in names
        }


class TestPlaces:
    def test_precedence(self, project: Project) -> None:
        project.write("queue: redis://file\nlease: 31\ngrace: 1\n")
        loaded = project.load(
            None, {"queue": "redis://flag", "lease": None}, JOBMAN_QUEUE="redis://env", JOBMAN_LEASE="32"
        )
        assert (loaded.queue, loaded.lease, loaded.grace, loaded.sweep) == ("redis://flag", 32.0, 1.0, 1.0)
        origins = {name: loaded.origins[name] for name in ("queue", "lease", "grace", "sweep")}
        assert origins == {
            "queue": "--queue-url",
            "lease": "environment JOBMAN_LEASE",
            "grace": "config/jobman.yaml:3",
            "sweep": "default",
        }

    def test_the_nearest_file_above_is_found(self, project: Project) -> None:
        project.write("name: above")
        deep = project.root / "src" / "deep"
        deep.mkdir(parents=True)
        loaded = load_settings(environ={}, cwd=deep)
        assert (loaded.name, loaded.root, loaded.path) == ("above", project.root, project.file)
        (project.root / "src" / "jobman.yaml").write_text("name: nearer")
        loaded = load_settings(environ={}, cwd=deep)
        assert (loaded.name, loaded.root) == ("nearer", project.root / "src")

    def test_config_directory_comes_before_a_file_beside_it(self, project: Project) -> None:
        (project.root / "jobman.yaml").write_text("name: beside")
        assert project.load("name: inside").name == "inside"

    def test_named_files(self, project: Project) -> None:
        project.write("name: found")
        (project.root / "other.yaml").write_text("name: other")
        (project.root / "third.yaml").write_text("name: third")
        assert project.load(JOBMAN_CONFIG="other.yaml").name == "other"
        assert project.load(JOBMAN_CONFIG="").name == "found"
        loaded = load_settings("third.yaml", environ={"JOBMAN_CONFIG": "other.yaml"}, cwd=project.root)
        assert (loaded.name, loaded.root) == ("third", project.root)
        assert loaded.origins["name"] == "third.yaml:1"
        assert load_settings(project.root / "third.yaml", environ={}, cwd=Path("/")).name == "third"

    def test_a_link_keeps_its_own_root(
        self, project: Project, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        elsewhere = tmp_path_factory.mktemp("elsewhere") / "real.yaml"
        elsewhere.write_text("name: linked")
        project.file.parent.mkdir()
        project.file.symlink_to(elsewhere)
        loaded = project.load()
        assert (loaded.name, loaded.root) == ("linked", project.root)

    def test_a_missing_named_file_is_a_fault(self, project: Project) -> None:
        assert project.fault(JOBMAN_CONFIG="gone.yaml") == "gone.yaml: there is no such file"

    @pytest.mark.parametrize("name", ["config", "", "."])
    def test_a_directory_is_a_fault(self, project: Project, name: str) -> None:
        project.write("")
        with pytest.raises(ConfigurationError, match="is a directory"):
            load_settings(name, environ={}, cwd=project.root)

    def test_odd_file_names_are_faults(self, project: Project) -> None:
        for name in ("a\0b", "x" * 5000, "jobman.yaml/x", "new\nline"):
            (project.root / "jobman.yaml").write_text("")
            line = project.fault(JOBMAN_CONFIG=name)
            assert "there is no such file" in line or "cannot be read" in line

    def test_an_unreadable_file_is_a_fault(self, project: Project) -> None:
        assert (
            project.fault(JOBMAN_CONFIG="/proc/self/mem")
            == "/proc/self/mem: cannot be read: Input/output error"
        )

    def test_a_current_directory_that_is_gone_is_a_fault(self, tmp_path: Path) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        code = (
            "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])\n"
            "from jobman_cli.settings import load_settings\n"
            "from jobman_cli.errors import ConfigurationError\n"
            "try: load_settings()\n"
            "except ConfigurationError as error: print(error)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(gone)],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(REPOSITORY)},
        )
        assert "current directory cannot be used" in done.stdout


class TestFile:
    def test_all_faults_at_once_in_the_order_of_the_file(self, project: Project) -> None:
        lines = project.faults(
            "plugins: hello\ndatabse: x\njobs:\n  hello:\n    tries: 0\n    tmeout: 3\nlease: yes\n",
            {"sweep": -1},
            JOBMAN_GRACE="soon",
        )
        assert lines == [
            "config/jobman.yaml:1: plugins: expected a list such as [hello], found 'hello'",
            "config/jobman.yaml:2: databse: unknown setting; did you mean 'database'?",
            "config/jobman.yaml:5: jobs.hello.tries: expected a whole number from 1 to 2147483647, found 0",
            "config/jobman.yaml:6: jobs.hello.tmeout: unknown option of a job type; did you mean 'timeout'?",
            "config/jobman.yaml:7: lease: expected a number from 1 to 86400, found 'yes'",
            "environment JOBMAN_GRACE: grace: expected a number from 0 to 86400, found 'soon'",
            "--sweep: sweep: expected a number from 0.1 to 86400, found -1",
        ]

    def test_many_faults_are_cut(self, project: Project) -> None:
        lines = project.faults("\n".join(f"wrong{n}: 1" for n in range(300)))
        assert len(lines) == 51
        assert lines[-1] == "… and 250 more"

    def test_duplicate_keys(self, project: Project) -> None:
        lines = project.faults("name: a\njobs:\n  x: {tries: 1, tries: 2}\nname: b\n")
        assert lines == [
            "config/jobman.yaml:3: jobs.x.tries: set twice, first on line 3",
            "config/jobman.yaml:4: name: set twice, first on line 1",
        ]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("name: a\n  b: c\n", ":2: not valid YAML"),
            ("name: [a\n", "not valid YAML"),
            ("a: *gone\n", "refers to nothing"),
            ("a: &a [*a]\n", "refers to nothing that is complete"),
            ("- a\n- b\n", ":1: the file must hold a mapping"),
            ("just text", ":1: the file must hold a mapping"),
            ("42", ":1: the file must hold a mapping"),
            ("name: a\n---\nname: b\n", ":2: a second document"),
            (
                "x: !!python/object/apply:os.system [ls]\n",
                "tag tag:yaml.org,2002:python/object/apply:os.system is not",
            ),
            ("x: !!timestamp 2001-99-99\n", "is not supported"),
            ("a: &a {}\njobs: {<<: *a}\n", ":2: merge keys"),
            ("? [a, b]\n: c\n", "a key must be a plain word"),
            ("name: a\0b", "U+0000 is not allowed"),
            ("name: a\nqueue: \x07", ":2: the character U+0007"),
            (b"name: a\nqueue: \xff\n", ":2: not UTF-8"),
            ("name: a".encode("utf-16"), "not UTF-8"),
            ("# " + "x" * 1_048_576, "larger than 1,048,576 bytes"),
            ("schedule: " + "[" * 60 + "]" * 60, "nested deeper than 50"),
            ("jobs: " + "{a: " * 5000 + "}" * 5000, "nested deeper than 50"),
            ("schedule: [" + "1," * 30_000 + "]", "more than 20000 values"),
        ],
    )
    def test_files_that_cannot_be_read(self, project: Project, text: str | bytes, said: str) -> None:
        line = project.fault(text)
        assert line.startswith("config/jobman.yaml")
        assert said in line

    def test_alias_bombs_are_bounded(self, project: Project) -> None:
        wide = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
        )
        assert "more than 20000 values" in project.fault(wide)
        deep = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 80))
        assert "nested deeper than 50" in project.fault(deep)

    def test_anchors_work_and_a_fault_stands_where_the_setting_stands(self, project: Project) -> None:
        loaded = project.load("jobs:\n  a: &same {tries: 7}\n  b: *same\n")
        assert loaded.jobs == {"a": JobOverride(tries=7), "b": JobOverride(tries=7)}
        assert loaded.origins["jobs.b"] == "config/jobman.yaml:3"

    def test_scalars_follow_yaml_1_2(self, project: Project) -> None:
        loaded = project.load(
            "supervisors: {a: {balance: off}, b: {balance: false}}\n"
            "jobs: {123: {tries: 010}}\nrescue_limit: 0x10\n"
            "schedule:\n- {name: x, every: 60, job: j, attribs: "
            '{d: 2024-01-01, y: yes, q: "1", t: 1:30, f: 1.5, e: ~}}'
        )
        assert [s["balance"] for s in loaded.supervisors.values()] == ["off", "off"]
        assert loaded.jobs["123"].tries == 10
        assert loaded.rescue_limit == 16
        assert loaded.schedule[0]["attribs"] == {
            "d": "2024-01-01",
            "y": "yes",
            "q": "1",
            "t": "1:30",
            "f": 1.5,
            "e": None,
        }

    def test_a_byte_order_mark_and_crlf_are_fine(self, project: Project) -> None:
        assert project.load("\ufeffname: a\r\nlease: 40\r\n".encode()).lease == 40.0

    def test_unknown_without_a_neighbour_has_no_suggestion(self, project: Project) -> None:
        assert project.fault("zzzzqqq: 1") == "config/jobman.yaml:1: zzzzqqq: unknown setting"

    def test_control_characters_do_not_reach_the_terminal(self, project: Project) -> None:
        (line,) = project.faults('"a\\x1b[31m\\nb": 1')
        assert "\x1b" not in line


class TestTypes:
    @pytest.mark.parametrize(
        "text",
        [
            "name: 1",
            "name: ''",
            "name: a b",
            f"name: {'x' * 65}",
            "name: [a]",
            "name: true",
            "plugins: [a b]",
            "plugins: [1]",
            "plugins: [a, a]",
            "plugins: {a: b}",
            "modules: [a-b]",
            "modules: [.a]",
            "max_attribs_bytes: 1.0",
            "max_attribs_bytes: true",
            "max_attribs_bytes: 1_000",
            "max_attribs_bytes: 0",
            "recording: never",
            "recording: true",
            "shutdown_timeout: -1",
            "shutdown_timeout: true",
            "lease: 0.5",
            "heartbeat: 0.05",
            "sweep: 0.05",
            "lease: .inf",
            "lease: .nan",
            "lease: 1e999",
            "lease: '30'",
            f"lease: {'9' * 900}",
            f"lease: {'9' * 9000}",
            "rescue_limit: -1",
            "rescue_limit: 3.0",
            "redact: '*x*'",
            "redact: ['']",
            "jobs: []",
            "jobs: {'': {}}",
            "jobs: {a b: {}}",
            "jobs: {a: 1}",
            "jobs: {a: {tries: true}}",
            "jobs: {a: {tries: 1.5}}",
            "jobs: {a: {timeout: 0}}",
            "jobs: {a: {priority: 1001}}",
            "jobs: {a: {queue: a b}}",
            "jobs: {a: {priority: -1001}}",
            "jobs: {a: {backoff: [-1]}}",
            "jobs: {a: {backoff: [a]}}",
            f"jobs: {{{'x' * 101}: {{}}}}",
            "supervisors: {a: {queues: []}}",
            "supervisors: {a: {queues: default}}",
            "supervisors: {a: {balance: on}}",
            "supervisors: {a: {min_processes: 0}}",
            "supervisors: {a: {min_processes: 5}}",
            "supervisors: {a: {nope: 5}}",
            "defaults: {a: {nope: 1}}",
            "environments: {production: {a: {nope: 1}}}",
            "environments: {production: []}",
            "schedule: {}",
            "schedule: [1]",
        ],
    )
    def test_refused(self, project: Project, text: str) -> None:
        line = project.fault(text)
        assert re.match(r"config/jobman\.yaml:1: [a-z_]+[^ ]*.*: ", line)
        assert len(line) < 300

    def test_jobs(self, project: Project) -> None:
        loaded = project.load(
            "jobs:\n  a.b:c-d_e: {queue: high, tries: 5, timeout: 1, backoff: [1, 2.5], priority: -1000}\n"
            "  once: {backoff: 3, timeout: null, queue: null}\n  bare:\n"
        )
        assert loaded.jobs["a.b:c-d_e"] == JobOverride("high", 5, 1.0, (1.0, 2.5), -1000)
        assert loaded.jobs["once"] == JobOverride(timeout=NO_LIMIT, backoff=(3.0,))
        assert loaded.jobs["once"].options() == {"timeout": None, "backoff": (3.0,)}
        assert loaded.jobs["bare"] == JobOverride()
        assert loaded.jobs["bare"].options() == {}
        quiet = project.load("jobs: {a: {silenced: true, tries: 2}}").jobs["a"]
        assert (quiet.options(), quiet.given()) == ({"tries": 2}, {"tries": 2, "silenced": True})
        assert loaded.origins["jobs.a.b:c-d_e.tries"] == "config/jobman.yaml:2"

    @pytest.mark.parametrize(
        ("text", "line"),
        [("lease: 30\nheartbeat: 10", 2), ("lease: 15", 1), ("lease: 10\nheartbeat: 4", 2)],
    )
    def test_heartbeat_must_fit_the_lease_three_times(self, project: Project, text: str, line: int) -> None:
        said = project.fault(text)
        assert said.startswith(f"config/jobman.yaml:{line}: ")
        assert "heartbeat" in said
        assert "lease" in said
        assert project.load("lease: 30\nheartbeat: 9.9").heartbeat == 9.9

    def test_a_judge_must_look_three_times_in_a_lease(self, project: Project) -> None:
        said = project.fault("lease: 20\nsweep: 6.7")
        assert said.startswith("config/jobman.yaml:2: ")
        assert "sweep (6.7 s) must be at most a third of lease (20 s)" in said
        assert project.load("lease: 30\nsweep: 10").sweep == 10.0

    def test_supervisors_are_complete_and_environments_are_not(self, project: Project) -> None:
        loaded = project.load(
            "supervisors: {mail: {queues: [mail, bulk], max_processes: 0}}\n"
            "defaults: {mail: {memory: 128}}\nenvironments: {prod*: {mail: {max_processes: 9}, web: }}\n"
        )
        assert loaded.supervisors == {
            "mail": {**SUPERVISOR_DEFAULTS, "queues": ("mail", "bulk"), "max_processes": 0}
        }
        assert loaded.defaults == {"mail": {"memory": 128}}
        assert loaded.environments == {"prod*": {"mail": {"max_processes": 9}, "web": {}}}

    def test_schedule(self, project: Project) -> None:
        loaded = project.load(
            "schedule:\n"
            '- {name: prune, cron: "0 3 * * MON-FRI", timezone: Asia/Taipei,'
            " operation: prune, days: 180, queue: q}\n"
            "- {name: greet, every: 90, job: hello, queue: q, priority: 3,"
            " attribs: {name: Ada, list: [1, {a: b}]}}\n"
        )
        assert loaded.schedule == (
            {
                "name": "prune",
                "cron": "0 3 * * MON-FRI",
                "timezone": "Asia/Taipei",
                "operation": "prune",
                "options": {"days": 180, "queue": "q"},
            },
            {
                "name": "greet",
                "every": 90.0,
                "timezone": "UTC",
                "job": "hello",
                "attribs": {"name": "Ada", "list": [1, {"a": "b"}]},
                "queue": "q",
                "priority": 3,
            },
        )
        json.dumps(loaded.schedule)

    @pytest.mark.parametrize(
        ("entry", "said"),
        [
            ("{every: 60, operation: prune}", "a `name` is missing"),
            ("{name: x, operation: prune}", "give either `cron` or `every`"),
            ('{name: x, cron: "* * * * *", every: 60, operation: prune}', "give either `cron` or `every`"),
            ("{name: x, every: 60}", "give either `operation` or `job`"),
            ("{name: x, every: 60, operation: prune, job: hello}", "give either `operation` or `job`"),
            ("{name: x, every: 0, operation: prune}", "schedule[0].every: expected a number from 1"),
            ('{name: x, cron: "* * *", operation: prune}', "five cron fields"),
            (
                "{name: x, every: 60, operation: prune, timezne: UTC}",
                "timezne: unknown key of a schedule; did you",
            ),
            ("{name: x, every: 60, job: hello, days: 3}", "days: unknown key of a schedule"),
            ("{name: x, every: 60, job: hello, attribs: 3}", "schedule[0].attribs: expected a mapping"),
            (
                "{name: x, every: 60, job: hello, attribs: {a: 1e999}}",
                "attribs.a: expected a number that JSON can",
            ),
            (
                "{name: x, every: 60, operation: prune, days: 1e999}",
                "days: expected a number that JSON can hold",
            ),
            ("{name: x, every: 60, operation: prune, timezone: Mars/Base}", "'Mars/Base' is not a time zone"),
            ("{name: x, every: 60, operation: prune, timezone: America}", "is not a time zone"),
            ("{name: x, every: 60, operation: prune, timezone: ../../etc/passwd}", "is not a time zone"),
            (
                "{name: x, every: 60, operation: a}, {name: x, every: 1, operation: b}",
                "[1]: 'x' is there twice",
            ),
        ],
    )
    def test_schedule_faults(self, project: Project, entry: str, said: str) -> None:
        assert said in project.fault(f"schedule: [{entry}]").replace("Mars/Base is", "'Mars/Base' is")


class TestEnvironment:
    def test_nested_names_and_lists(self, project: Project) -> None:
        loaded = project.load(
            "jobs: {send-mail: {tries: 2, priority: 1}, Import: {}}",
            JOBMAN_JOBS__SEND_MAIL__TRIES="5",
            JOBMAN_JOBS__IMPORT__BACKOFF="1, 2.5",
            JOBMAN_JOBS__HELLO__TIMEOUT="null",
            JOBMAN_JOBS__sendMore__QUEUE="123",
            JOBMAN_PLUGINS="hello, reports",
            JOBMAN_MODULES="[a.b, c]",
            JOBMAN_REDACT="*password*,*pin*",
            JOBMAN_NAME="123",
            JOBMAN_SUPERVISORS__DEFAULT__BALANCE="false",
            JOBMAN_SUPERVISORS__DEFAULT__QUEUES="a,b",
            JOBMAN_SCHEDULE="[{name: x, every: 60, operation: prune}]",
            JOBMAN_LEASE="",
            HOME="/root",
        )
        assert loaded.jobs == {
            "send-mail": JobOverride(tries=5, priority=1),
            "Import": JobOverride(backoff=(1.0, 2.5)),
            "hello": JobOverride(timeout=NO_LIMIT),
            "sendMore": JobOverride(queue="123"),
        }
        assert (loaded.plugins, loaded.modules) == (("hello", "reports"), ("a.b", "c"))
        assert (loaded.redact, loaded.name) == (("*password*", "*pin*"), "123")
        assert loaded.supervisors["default"]["queues"] == ("a", "b")
        assert loaded.supervisors["default"]["balance"] == "off"
        assert loaded.schedule[0]["name"] == "x"
        assert loaded.origins["jobs.send-mail.tries"] == "environment JOBMAN_JOBS__SEND_MAIL__TRIES"
        assert loaded.origins["jobs.send-mail.priority"] == "config/jobman.yaml:1"
        assert loaded.origins["lease"] == "default"

    def test_a_whole_and_its_parts(self, project: Project) -> None:
        loaded = project.load(JOBMAN_JOBS="{a-b: {tries: 2}}", JOBMAN_JOBS__A_B__PRIORITY="7")
        assert loaded.jobs == {"a-b": JobOverride(tries=2, priority=7)}
        assert len(project.faults(JOBMAN_JOBS="5", JOBMAN_JOBS__A__TRIES="7")) == 1

    @pytest.mark.parametrize("name", sorted(DASHBOARD_DEFAULTS))
    def test_each_option_of_the_dashboard_has_a_variable(self, project: Project, name: str) -> None:
        texts = {
            "port": "9",
            "prefix": "/ops",
            "read_only": "true",
            "basic": "ada:correct-horse",
            "hosts": "a, b",
        }
        loaded = project.load(**{f"JOBMAN_DASHBOARD__{name.upper()}": texts.get(name, "t" * 24)})
        wanted = {"port": 9, "read_only": True, "hosts": ["a", "b"]}
        found = loaded.dashboard[name]
        found = list(found) if name == "hosts" else found
        assert found == wanted.get(name, texts.get(name, "t" * 24))

    def test_what_is_not_a_setting_is_left_alone(self, project: Project) -> None:
        project.load(
            JOBMAN_TEST_POSTGRES="x",
            JOBMAN_BENCH_N="1",
            JOBMAN_FAULT_PROFILE="long",
            JOBMAN_FAILPOINT="a",
            JOBMANX="1",
        )

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            (
                "JOBMAN_DATABSE",
                "x",
                "environment JOBMAN_DATABSE: unknown variable; did you mean 'JOBMAN_DATABASE'?",
            ),
            ("JOBMAN_database", "x", "did you mean 'JOBMAN_DATABASE'?"),
            (
                "JOBMAN_DASHBOARD_TOKEN",
                "t" * 24,
                "unknown variable",
            ),  # one stroke too few: nobody is let in by that
            ("JOBMAN_DASHBOARD__TOKN", "t" * 24, "did you mean 'JOBMAN_DASHBOARD__TOKEN'?"),
            ("JOBMAN_JOBS__HELLO__TRYS", "1", "did you mean 'JOBMAN_JOBS__HELLO__TRIES'?"),
            ("JOBMAN_", "1", "unknown variable"),
            ("JOBMAN_JOBS__", "{}", "jobs.''"),
            ("JOBMAN_PLUGINS__0", "a", "plugins: has no parts; set JOBMAN_PLUGINS as a whole"),
            ("JOBMAN_NAME__X", "a", "name: has no parts"),
            ("JOBMAN_LEASE", "*a", "environment JOBMAN_LEASE: lease: "),
            ("JOBMAN_LEASE", "[", "environment JOBMAN_LEASE: lease: not valid YAML"),
            (
                "JOBMAN_JOBS",
                "{a: {tries: 0}}",
                "environment JOBMAN_JOBS: jobs.a.tries: expected a whole number",
            ),
            ("JOBMAN_JOBS", "{a: {}, a: {}}", "environment JOBMAN_JOBS: jobs.a: set twice"),
            ("JOBMAN_NAME", "a\udcff", "environment JOBMAN_NAME: name: not valid UTF-8"),
            (
                "JOBMAN_QUEUE",
                "nats://x",
                "environment JOBMAN_QUEUE: queue: nats:// is not a queue Jobman knows",
            ),
        ],
    )
    def test_faults(self, project: Project, name: str, value: str, said: str) -> None:
        assert said in project.fault(None, None, **{name: value})

    def test_an_ambiguous_name_is_a_fault(self, project: Project) -> None:
        said = project.fault("jobs: {a-b: {}, a.b: {}}", JOBMAN_JOBS__A_B__TRIES="1")
        assert said == "environment JOBMAN_JOBS__A_B__TRIES: jobs: can mean a-b or a.b; set it in the file"


class TestFlags:
    def test_python_values(self, project: Project) -> None:
        loaded = project.load(
            "jobs: {a: {tries: 1}}",
            {
                "plugins": ["x"],
                "modules": ("y",),
                "jobs": {"a": {"priority": 2}},
                "max_attribs_bytes": 99,
                "lease": None,
            },
        )
        assert (loaded.plugins, loaded.modules, loaded.max_attribs_bytes) == (("x",), ("y",), 99)
        assert loaded.jobs == {"a": JobOverride(tries=1, priority=2)}
        assert loaded.origins["max_attribs_bytes"] == "--max-attribs-bytes"

    def test_faults(self, project: Project) -> None:
        loop: dict[str, Any] = {}
        loop["a"] = loop
        lines = project.faults(
            None, {"databse": "x", "lease": object(), "max_attribs_bytes": "9", "schedule": [loop]}
        )
        assert "--databse: databse: unknown setting; did you mean 'database'?" in lines
        assert "--lease: lease: a object cannot be a setting" in lines
        assert any("--max-attribs-bytes" in line for line in lines)
        assert any("nested deeper" in line for line in lines)


class TestAddresses:
    @pytest.mark.parametrize(
        ("given_url", "final"),
        [
            ("sqlite:///var/jobs.db", "sqlite:///{root}/var/jobs.db"),
            ("sqlite:///./a/../b c.db?timeout=5", "sqlite:///{root}/b c.db?timeout=5"),
            ("sqlite+pysqlite:////abs/x.db", "sqlite:////abs/x.db"),
            (
                "postgres://ada:s%40@db:5432/app?sslmode=require",
                "postgresql+psycopg://ada:s%40@db:5432/app?sslmode=require",
            ),
            ("postgresql://[::1]:5433/app", "postgresql+psycopg://[::1]:5433/app"),
            (
                "postgresql+psycopg:///app?host=/run/postgresql",
                "postgresql+psycopg:///app?host=/run/postgresql",
            ),
            (" postgresql://db/app\n", "postgresql+psycopg://db/app"),
            ("mysql://u:p@db/app", "mysql+pymysql://u:p@db/app?charset=utf8mb4"),
            ("mariadb+pymysql://u@db/app?ssl=1", "mysql+pymysql://u@db/app?ssl=1&charset=utf8mb4"),
            ("mysql+pymysql://db/app?charset=utf8mb4", "mysql+pymysql://db/app?charset=utf8mb4"),
        ],
    )
    def test_databases(self, project: Project, given_url: str, final: str) -> None:
        sqlalchemy = pytest.importorskip("sqlalchemy")
        loaded = project.load(JOBMAN_DATABASE=given_url)
        assert loaded.database == final.format(root=project.root)
        sqlalchemy.make_url(loaded.database)
        assert project.load(JOBMAN_DATABASE=loaded.database).database == loaded.database

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("sqlite://", "in memory"),
            ("sqlite:///", "in memory"),
            ("sqlite:///:memory:", "in memory"),
            ("sqlite:///file:x?mode=memory&uri=true", "in memory"),
            ("sqlite://host/x.db", "SQLite has no host"),
            ("sqlite+aiosqlite:///x", "Python's own driver"),
            ("oracle://hunter2", "oracle:// is not a database"),
            ("postgresql+psycopg2://db/hunter2", "no use for the driver 'psycopg2'"),
            ("hunter2", "that is not a database"),
            ("postgresql://u:hunter2@x@db/app", "%40"),
            ("postgresql://u:hunter2/app", "port"),
            ("postgresql://db:0/app", "port"),
            ("postgresql://db:99999/app", "port"),
            ("postgresql://d b/app", "malformed"),
            ("mysql://u:hunter2@db", "name of the database is missing"),
            ("mysql://db/", "name of the database is missing"),
            ("mysql://db/app?charset=latin1", "utf8mb4"),
            ("postgresql://db/a\tb", "control character"),
            ("postgresql://db/" + "x" * 5000, "longer than"),
        ],
    )
    def test_refused_databases(self, project: Project, url: str, said: str) -> None:
        line = project.fault(JOBMAN_DATABASE=url)
        assert said in line
        assert "hunter2" not in line

    def test_a_root_that_no_sqlite_url_can_name_is_told(self, tmp_path: Path) -> None:
        odd = tmp_path / "what?"
        odd.mkdir()
        with pytest.raises(ConfigurationError, match=r"default: database: .*question mark"):
            load_settings(environ={}, cwd=odd)

    @pytest.mark.parametrize(
        "url",
        [
            "database",
            "redis://localhost",
            "redis://:p%40@localhost:6379/0",
            "rediss://u:p@h/3?ssl_cert_reqs=none",
            "redis+sentinel://:p@a:26379,b/mymaster/0",
            "unix:///run/redis.sock?db=1",
            "unix://u:p@/run/redis.sock",
        ],
    )
    def test_queues(self, project: Project, url: str) -> None:
        assert project.load(f"queue: '{url}'").queue == url

    def test_case_is_normalised(self, project: Project) -> None:
        assert project.load("queue: DATABASE").queue == "database"
        assert project.load("queue: REDIS://Host").queue == "redis://Host"

    @pytest.mark.parametrize(
        "url",
        [
            "databse",
            "memory://",
            "redis:localhost",
            "redis://h:x/0",
            "redis://h/zero",
            "redis://:hunter2@x@h/0",
            "redis+sentinel:///mymaster",
            "redis+sentinel://a:x/m",
            "unix://",
            "http://hunter2",
            "redis://:hunter2",
        ],
    )
    def test_refused_queues(self, project: Project, url: str) -> None:
        line = project.fault(f"queue: '{url}'")
        assert line.startswith("config/jobman.yaml:1: queue: ")
        assert "hunter2" not in line

    @pytest.mark.parametrize(
        ("url", "masked"),
        [
            ("database", "database"),
            ("sqlite:////srv/a:b@c.db", "sqlite:////srv/a:b@c.db"),
            ("redis://localhost:6379/0", "redis://localhost:6379/0"),
            ("redis://:s3cret@h/0", "redis://:***@h/0"),
            ("postgresql+psycopg://u:s3@cr/e?t@h/db", "postgresql+psycopg://u:***@h/db"),
            ("postgresql://h/db?user=u&password=s3cret&x=1", "postgresql://h/db?user=u&password=***&x=1"),
            (
                "redis+sentinel://:s3cret@a:1,b:2/m?sentinel_password=s3cret",
                "redis+sentinel://:***@a:1,b:2/m?sentinel_password=***",
            ),
            ("", ""),
        ],
    )
    def test_masks(self, url: str, masked: str) -> None:
        assert mask_url(url) == masked

    def test_a_url_in_the_wrong_place_is_masked_too(self, project: Project) -> None:
        assert "hunter2" not in project.fault("name: postgresql://u:hunter2@db/app")


class TestHouse:
    def test_every_setting_is_documented(self) -> None:
        page = (REPOSITORY / "docs" / "reference" / "settings.md").read_text()
        for each in fields(Settings):
            if each.name in ("path", "root", "origins"):
                assert f"`{each.name}`" in page
                continue
            assert re.search(
                rf"^\| `{each.name}` \|.*\| `JOBMAN_{each.name.upper()}` \|", page, re.MULTILINE
            ), each.name
        for name in SUPERVISOR_DEFAULTS:
            assert re.search(rf"^\| `{name}` \|", page, re.MULTILINE), name
        for each in fields(JobOverride):
            assert f"`JOBMAN_JOBS__HELLO__{each.name.upper()}`" in page, each.name

    def test_the_documented_defaults_are_the_defaults(self, project: Project) -> None:
        page = (REPOSITORY / "docs" / "reference" / "settings.md").read_text()
        rows = dict(re.findall(r"^\| `(\w+)` \|[^|]*\| `([^`]*)` \| `JOBMAN_", page, re.MULTILINE))
        assert len(rows) == 21
        written = project.load("\n".join(f"{name}: {default}" for name, default in rows.items()))
        default = project.load("")
        assert {n: getattr(written, n) for n in rows} == {n: getattr(default, n) for n in rows}

    def test_the_messages_shown_in_the_documentation_are_real(self, project: Project) -> None:
        page = (REPOSITORY / "docs" / "reference" / "settings.md").read_text()
        shown = re.search(r"```text\n(.*?)```", page, re.DOTALL)
        assert shown
        text = "\n\ndatabse: x\n\n\n\njobs:\n  hello:\n    tries: 0\n"
        assert project.faults(text, JOBMAN_LEASE="soon") == shown[1].splitlines()

    def test_it_is_cheap_to_import(self) -> None:
        code = (
            "import sys; import jobman_cli.settings\n"
            "print({'pydantic', 'sqlalchemy', 'zoneinfo', 'difflib', 'urllib.parse'} & set(sys.modules))"
        )
        env = {"PYTHONPATH": str(REPOSITORY), "PYTHONSAFEPATH": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
        )
        assert "pydantic" not in done.stdout
        assert "sqlalchemy" not in done.stdout


def loads_or_says(text: str | bytes, root: Path, environ: dict[str, str] | None = None) -> None:
    """The one promise of the fuzz: settings, or a ConfigurationError of printable lines."""
    tried("config")
    file = root / "jobman.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        load_settings(file, environ=environ or {}, cwd=root)
    except ConfigurationError as error:
        assert str(error)
        assert len(str(error)) < 100_000
        assert all(line.isprintable() for line in str(error).split("\n"))


QUIET = settings(
    max_examples=many(150, 0.2),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WORDS = st.sampled_from(
    [
        *(each.name for each in fields(Settings)),
        *SUPERVISOR_DEFAULTS,
        *(each.name for each in fields(JobOverride)),
        "cron",
        "every",
        "timezone",
        "operation",
        "job",
        "attribs",
        "hello",
        "<<",
        "!!int",
        "*a",
        "&a",
        "~",
        "- ",
        "? ",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=15,
)


@pytest.mark.timeout(patience(120))
class TestFuzz:
    @QUIET
    @given(text=st.text() | st.binary())
    def test_any_text(self, tmp_path: Path, text: str | bytes) -> None:
        loads_or_says(text, tmp_path)

    @QUIET
    @given(
        text=st.lists(WORDS | st.sampled_from(list(":{}[],\n#'\"|>-?!&*%@` ")) | st.text(max_size=3)).map(
            "".join
        )
    )
    def test_text_that_looks_like_a_configuration(self, tmp_path: Path, text: str) -> None:
        loads_or_says(text, tmp_path)

    @QUIET
    @given(value=st.dictionaries(WORDS, VALUES, max_size=6))
    def test_any_value_in_any_place(self, tmp_path: Path, value: dict[str, Any]) -> None:
        loads_or_says(json.dumps(value), tmp_path)

    @QUIET
    @given(
        environ=st.dictionaries(
            st.builds(
                lambda parts: "JOBMAN_" + "__".join(parts),
                st.lists(WORDS.map(str.upper) | st.text(max_size=4), max_size=4),
            ),
            st.text(max_size=20) | WORDS | VALUES.map(json.dumps),
            max_size=4,
        )
    )
    def test_any_variable(self, tmp_path: Path, environ: dict[str, str]) -> None:
        loads_or_says("", tmp_path, environ)

    @QUIET
    @given(url=st.text() | st.from_regex(r"(postgres|mysql|redis|sqlite|unix)://[^\n]{0,40}", fullmatch=True))
    def test_any_address(self, tmp_path: Path, url: str) -> None:
        mask_url(url)
        for name in ("JOBMAN_DATABASE", "JOBMAN_QUEUE"):
            loads_or_says("", tmp_path, {name: url})

    @QUIET
    @given(password=st.text(min_size=8, alphabet=st.characters(codec="ascii", exclude_characters="*")))
    def test_no_password_survives_the_mask(self, password: str) -> None:
        assert mask_url(f"redis://u:{password}@host/0") == "redis://u:***@host/0"
