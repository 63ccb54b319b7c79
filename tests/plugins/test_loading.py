"""Plugins, good and bad: what is imported, what is broken, and who is told."""

import logging
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from jobman_cli.errors import ConfigurationError, UnknownJobType
from jobman_cli.hooks import load_registry

ROOT = Path(__file__).resolve().parents[2]

GOOD = """
from jobman_cli import Context, hookimpl, job

@job("{name}", tries=3)
def run(ctx: Context, name: str = "world"):
    "Greet."

@hookimpl
def jobman_job_types():
    return [run]
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on sys.path, like site-packages; what is imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def write(folder, module, source):
    path = folder / (module.replace(".", "/") + ".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(source))


def install(site, name, source, *, module=None, distribution=None, target=None):
    """A distribution as pip leaves it: a module and a dist-info with an entry point."""
    module = module or f"jobman_{name}"
    distribution = distribution or f"jobman-{name}"
    if source is not None:
        write(site, module, source)
    info = site / f"{distribution.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[jobman]\n{name} = {target or module}\n")


def load(plugins=(), modules=(), overrides=None, **others):
    return load_registry(plugins, modules, overrides or {}, **others)


def info_of(registry, name):
    (found,) = [info for info in registry.plugins if info.name == name]
    return found


def test_a_good_plugin(site):
    install(site, "good", GOOD.format(name="greet"))
    registry = load(["good"])
    info = info_of(registry, "good")
    assert (info.distribution, info.version, info.state) == ("jobman-good", "1.2", "loaded")
    assert (info.error, info.hint, info.job_types) == (None, None, ("greet",))
    assert registry.find("greet").validate({}) == {"name": "world"}
    assert (registry.broken, registry.warnings, registry.has_observers) == ((), (), False)


def test_an_unlisted_plugin_is_shown_and_not_imported(site):
    install(site, "quiet", "raise AssertionError('imported')")
    registry = load()
    info = info_of(registry, "quiet")
    assert (info.state, info.distribution, info.version) == ("available", "jobman-quiet", "1.2")
    assert "plugins:" in info.hint
    assert "jobman_quiet" not in sys.modules
    assert registry.broken == ()


def test_a_listed_plugin_that_is_not_installed(site):
    install(site, "orchard2", GOOD.format(name="x"))
    registry = load(["orchard3"])
    info = info_of(registry, "orchard3")
    assert info.state == "missing"
    assert info in registry.broken
    assert "pip install jobman-orchard3" in info.hint
    assert "did you mean 'orchard2'" in info.error


def test_a_plugin_listed_by_the_name_of_its_distribution(site):
    install(site, "good", GOOD.format(name="x"))
    (info,) = load(["jobman-good"]).broken
    assert "the distribution jobman-good brings 'good'" in info.error
    assert "pip install jobman-good`" in info.hint


BROKEN = {
    "import": ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere' "),
    "syntax": ("def f(:\n", "SyntaxError"),
    "exception": ("1 / 0", "ZeroDivisionError: division by zero (.*jobman_bad.py:1)"),
    "exit": ("raise SystemExit(3)", "SystemExit\\(3\\)"),
    "misspelt": (
        "from jobman_cli import hookimpl\n@hookimpl\ndef jobman_job_typs(): return []",
        "no hook 'jobman_job_typs'; did you mean 'jobman_job_types'",
    ),
    "argument": (
        "from jobman_cli import hookimpl\n@hookimpl\ndef jobman_job_started(kontext): pass",
        "kontext",
    ),
    "async": (
        "from jobman_cli import job\n@job('x')\nasync def f(): yield 1",
        "'x': it is a generator",
    ),
    "raises": (
        "from jobman_cli import hookimpl\n@hookimpl\ndef jobman_job_types(): raise KeyError('oh')",
        "KeyError: 'oh' .*jobman_bad.py:3",
    ),
    "exits": (
        "from jobman_cli import hookimpl\n@hookimpl\ndef jobman_job_types(): raise SystemExit",
        "ended the program",
    ),
    "none": (
        "from jobman_cli import hookimpl\n@hookimpl\ndef jobman_job_types(): pass",
        "returned None",
    ),
    "text": (
        "from jobman_cli import hookimpl\n@hookimpl\ndef jobman_job_types(): return 'hello'",
        "returned a str",
    ),
    "single": (
        "from jobman_cli import hookimpl, job\n@job\ndef f(): pass\n"
        "@hookimpl\ndef jobman_job_types(): return f",
        "returned a JobType",
    ),
    "undecorated": (
        "from jobman_cli import hookimpl\ndef f(): pass\n@hookimpl\ndef jobman_job_types(): return [f]",
        "list with f, which is not a job type",
    ),
    "twice": (
        "from jobman_cli import hookimpl, job\nf = job('f')(lambda: 1)\ng = job('f')(lambda: 2)\n"
        "@hookimpl\ndef jobman_job_types(): return [f, g]",
        "'f' is registered twice: by plugin bad .* by plugin bad",
    ),
}


@pytest.mark.parametrize(("source", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_named_and_the_others_go_on(site, source, said):
    install(site, "bad", source)
    install(site, "good", GOOD.format(name="greet"))
    registry = load(["bad", "good"])
    (info,) = registry.broken
    assert (info.name, info.distribution, info.version) == ("bad", "jobman-bad", "1.2")
    assert info.state == "broken"
    assert info.job_types == ()
    assert re.search(said, info.error), info.error
    assert "\n" not in info.error
    assert info.hint
    assert list(registry.types) == ["greet"]
    with pytest.raises(UnknownJobType) as caught:
        registry.find("lost")
    assert "'bad'" in caught.value.hint


def test_an_entry_point_that_names_a_missing_module_or_attribute(site):
    install(site, "ghost", None)
    install(site, "part", "x = 1", target="jobman_part:nothing")
    ghost, part = load(["ghost", "part"]).broken
    assert "No module named 'jobman_ghost'" in ghost.error
    assert "pip install --force-reinstall jobman-ghost" in ghost.hint
    assert "nothing" in part.error


def test_a_keyboard_interrupt_is_not_a_broken_plugin(site):
    install(site, "bad", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load(["bad"])


def test_two_plugins_with_one_job_type(site):
    install(site, "first", GOOD.format(name="greet"))
    install(site, "second", GOOD.format(name="greet") + "\nother = job('other')(lambda: 1)\n")
    registry = load(["first", "second"])
    (info,) = registry.broken
    assert info.name == "second"
    assert "plugin first (jobman_first:run), which keeps it" in info.error
    assert "by plugin second (jobman_second:run)" in info.error
    assert registry.find("greet").origin == "jobman_first:run"
    assert list(registry.types) == ["greet"]


def test_two_distributions_with_one_plugin_name(site):
    install(site, "same", "raise AssertionError", module="one", distribution="jobman-one")
    install(site, "same", "raise AssertionError", module="two", distribution="jobman-two")
    (info,) = load(["same"]).broken
    assert "jobman-one and jobman-two" in info.error
    assert not {"one", "two"} & set(sys.modules)


def test_an_unusable_annotation_is_found_at_loading_if_asked(site):
    source = GOOD.format(name="greet").replace("name: str", "name: Context")
    install(site, "good", source)
    assert load(["good"]).broken == ()
    (info,) = load(["good"], check_types=True).broken
    assert "parameter 'name'" in info.error


# Modules


def test_modules_are_found_below_the_root(tmp_path, monkeypatch, site):
    root = tmp_path / "project"
    write(root, "shop.__init__", "")
    write(
        root, "shop.base", "from jobman_cli import job\n@job\ndef borrowed(): ...\n@job\ndef exported(): ..."
    )
    write(root, "shop.jobs.mail", "from jobman_cli import job\n@job\ndef mail(): ...")
    write(
        root,
        "shop.jobs.__init__",
        """
        from jobman_cli import hookimpl, job
        from shop.base import borrowed, exported
        from shop.jobs.mail import mail
        __all__ = ["exported"]
        @job("own")
        def own(ctx): ...
        again = own
        @hookimpl
        def jobman_job_started(context): ...
        """,
    )
    registry = load(modules=["shop.jobs"], root=root)
    assert sorted(registry.types) == ["exported", "mail", "own"]
    assert info_of(registry, "module shop.jobs").state == "loaded"
    assert registry.has_observers
    assert sys.path.count(str(root)) == 1
    load(modules=["shop.jobs"], root=root)
    assert sys.path.count(str(root)) == 1


def test_broken_modules_are_reported(site):
    write(site, "bad_jobs", "import no_such_module_anywhere")
    write(site, "good_jobs", "from jobman_cli import job\n@job\ndef fine(): ...")
    registry = load(modules=["bad_jobs", "no_such.jobs", "good_jobs"])
    bad, missing = registry.broken
    assert (bad.name, bad.state, bad.distribution) == ("module bad_jobs", "broken", None)
    assert "no_such_module_anywhere" in bad.error
    assert "modules:" in bad.hint
    assert missing.error == "there is no module 'no_such.jobs'"
    assert "modules:" in missing.hint
    assert list(registry.types) == ["fine"]


def test_a_module_with_a_type_that_a_plugin_has(site):
    install(site, "first", GOOD.format(name="greet"))
    write(site, "jobs_too", "from jobman_cli import job\n@job\ndef greet(): ...")
    (info,) = load(["first"], ["jobs_too"]).broken
    assert "by plugin first" in info.error
    assert "by module jobs_too" in info.error


def test_a_plugin_listed_as_a_module_too_is_loaded_once(site):
    install(site, "count", GOOD.format(name="greet") + OBSERVER)
    registry = load(["count", "count"], ["jobman_count"])
    assert registry.broken == ()
    registry.job_started("context")
    assert sys.modules["jobman_count"].seen == ["context"]


# Overrides


def test_overrides(site):
    install(site, "good", GOOD.format(name="greet"))
    registry = load(["good"], overrides={"greet": {"tries": 5, "timeout": None}, "greed": {"tries": 1}})
    assert registry.find("greet").options.tries == 5
    assert registry.find("greet").options.timeout is None
    assert registry.warnings == ("jobs: there is no job type 'greed' to override; did you mean 'greet'?",)
    assert registry.broken == ()


@pytest.mark.parametrize("options", [{"tries": 0}, {"trys": 1}])
def test_an_override_that_is_wrong(site, options):
    install(site, "good", GOOD.format(name="greet"))
    with pytest.raises(ConfigurationError, match=r"jobs: job type 'greet': .*tr"):
        load(["good"], overrides={"greet": options})


def test_an_unknown_job_type_has_a_neighbour(site):
    install(site, "good", GOOD.format(name="greet"))
    with pytest.raises(UnknownJobType, match="no job type 'gret'; did you mean 'greet'"):
        load(["good"]).find("gret")


# Observers, wrappers and the rest

OBSERVER = """
from jobman_cli import hookimpl
seen = []

@hookimpl
def jobman_job_started(context):
    seen.append(context)

@hookimpl
def jobman_job_finished(outcome):
    seen.append(outcome)
"""

CRASHING = """
from jobman_cli import hookimpl

@hookimpl
def jobman_job_started(context):
    raise RuntimeError("observer")

@hookimpl
def jobman_job_finished():
    raise SystemExit

@hookimpl
def jobman_alert(alert):
    raise RuntimeError("alert")

@hookimpl
def jobman_commands():
    raise SystemExit("commands")

@hookimpl
def jobman_doctor_checks():
    return "nonsense"

@hookimpl
def jobman_dashboard_pages():
    return [{"name": "half"}]
"""

WRAPPER = """
from contextlib import contextmanager
from jobman_cli import hookimpl
events = []

@hookimpl
@contextmanager
def jobman_around_job(context):
    events.append("in")
    try:
        yield
    except Exception as error:
        events.append(repr(error))
    events.append("out")
"""


def test_a_crashing_observer_is_logged_and_the_next_one_told(site, caplog):
    install(site, "crash", CRASHING)
    install(site, "see", OBSERVER)
    registry = load(["crash", "see"])
    assert registry.has_observers
    with caplog.at_level(logging.WARNING, "jobman.hooks"):
        registry.job_started("context")
        registry.job_finished("context", "outcome")
        registry.alert({})
    assert sys.modules["jobman_see"].seen == ["context", "outcome"]
    assert [record.args for record in caplog.records] == [
        ("crash", "jobman_job_started"),
        ("crash", "jobman_job_finished"),
        ("crash", "jobman_alert"),
    ]
    assert "observer" in caplog.text


def test_collections_of_a_crashing_plugin_are_left_out(site, caplog):
    install(site, "crash", CRASHING)
    install(
        site,
        "full",
        """
        from jobman_cli import hookimpl
        @hookimpl
        def jobman_commands(): return {"greet": print}
        @hookimpl
        def jobman_doctor_checks(): return {"disk": lambda: "full"}
        @hookimpl
        def jobman_dashboard_pages(jobman, options):
            return [{"name": "p", "title": "P", "render": str, "given": (jobman, options)}]
        """,
    )
    install(
        site,
        "late",
        "from jobman_cli import hookimpl\n@hookimpl\ndef jobman_commands(): return {'greet': repr}",
    )
    registry = load(["crash", "full", "late"])
    assert registry.commands() == {"greet": print}
    checks = registry.doctor_checks()
    assert list(checks) == ["full: disk"]
    assert checks["full: disk"]() == "full"
    page = {"name": "p", "title": "P", "render": str, "given": ("jobman", {}), "plugin": "full"}
    assert registry.dashboard_pages("jobman") == (page,)
    for said in (
        "jobman_commands failed",
        "returned a str, not a mapping",
        "lacks a name",
        "the first one stays",
    ):
        assert said in caplog.text


def test_wrappers_go_around_in_the_order_of_the_list(site):
    install(site, "a", WRAPPER)
    install(site, "b", WRAPPER.replace("events = []", "from jobman_a import events").replace('("', '("b '))
    registry = load(["a", "b"])
    with registry.around_job("context"):
        pass
    assert sys.modules["jobman_a"].events == ["in", "b in", "b out", "out"]


def test_a_wrapper_sees_a_failure_and_cannot_swallow_it(site):
    install(site, "a", WRAPPER)
    registry = load(["a"])
    failure = ValueError("job")
    with pytest.raises(ValueError, match="job") as caught, registry.around_job("context"):
        raise failure
    assert caught.value is failure
    assert sys.modules["jobman_a"].events == ["in", "ValueError('job')", "out"]


def test_a_wrapper_that_fails_fails_the_attempt(site):
    install(site, "a", WRAPPER.replace('events.append("in")', "1 / 0"))
    with pytest.raises(ZeroDivisionError), load(["a"]).around_job("context"):
        raise AssertionError("not reached")


def test_without_plugins_nothing_is_called(site):
    registry = load()
    assert not registry.has_observers
    registry.job_started("context")
    registry.job_finished("context", "outcome")
    with registry.around_job("context"):
        pass
    assert (registry.commands(), registry.doctor_checks(), registry.dashboard_pages(None)) == ({}, {}, ())


# The first-party plugin


def test_jobman_hello(site, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "plugins/jobman-hello"))
    install(site, "hello", None)
    registry = load(["hello"], check_types=True)
    assert registry.broken == ()
    hello = registry.find("hello")
    assert (hello.options.tries, hello.options.backoff) == (3, (1, 5, 10))
    assert hello.validate({}) == {"name": "world"}
    assert hello.json_schema()["properties"]["name"]["description"] == "Whom to greet."

    class Context:
        def __init__(self):
            self.lines = []

        def log(self, message):
            self.lines.append(message)

    context = Context()
    assert hello(context, name="Ada") is None
    assert context.lines == ["Hello, Ada"]
    sys.modules.pop("jobman_hello")


def test_loading_a_plain_plugin_imports_no_pydantic(site):
    install(site, "good", GOOD.format(name="greet"))
    code = (
        "import sys; from jobman_cli.hooks import load_registry\n"
        "assert load_registry(['good'], [], {}).find('greet')\n"
        "assert not {'pydantic', 'typer', 'sqlmodel', 'huey'} & set(sys.modules)"
    )
    path = f"{site}:{ROOT}"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": path})
