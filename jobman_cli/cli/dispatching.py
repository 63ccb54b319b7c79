"""``jobman dispatch`` and ``jobman types``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobman_cli.cli import completion, output, rows, talk
from jobman_cli.cli.session import jobman_of, tell_about_plugins
from jobman_cli.cli.uniqueness import tell_there
from jobman_cli.core.values import read_duration, read_object, read_objects
from jobman_cli.errors import UsageError
from jobman_cli.operations.objects.jobs import job_object
from jobman_cli.operations.objects.registered import type_object, whole_type_object

if TYPE_CHECKING:
    from jobman_cli.core.jobtype import JobType
    from jobman_cli.operations.dispatch import Dispatched


def dispatch(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="TYPE", help="The job type.", show_default=False, autocompletion=completion.job_types
        ),
    ],
    attribs: Annotated[
        str, typer.Argument(metavar="[JSON | -]", help="The attribs, an object; `-` reads them from stdin.")
    ] = "{}",
    queue: Annotated[str | None, typer.Option("--queue", metavar="NAME", help="Another queue.")] = None,
    delay: Annotated[
        str | None, typer.Option("--delay", metavar="TIME", help="Not before: 30s, 5m, 2h, 1d or seconds.")
    ] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", metavar="N", help="-1000 to 1000; the greater goes first.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TEXT", help="To find it by; may be repeated.")
    ] = None,
    unique_key: Annotated[
        str | None,
        typer.Option("--unique-key", metavar="TEXT", help="Not while a job with this key is not finished."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: the row, or the number.")] = False,
) -> None:
    """Dispatch a job, or many, with attribs as JSON.

    `-` reads stdin: one JSON object, or JSON lines, an object each, for one job each. When an unfinished job
    has the unique key, nothing is dispatched, and that job is shown.
    """
    from jobman_cli.operations.dispatch import dispatch_each, dispatch_once
    from jobman_cli.operations.request import Options

    options = Options(queue, priority, read_duration(delay, "--delay"), tag, unique_key)
    jobman = jobman_of(ctx)
    jobman.registry.find(name)
    if attribs != "-":
        given = read_object(attribs, "attribs")
    else:
        given, rest = _split_stdin()
        if rest is not None:
            _print_many(dispatch_each(jobman.parts, name, rest, options), as_json)
            return
    job, written = dispatch_once(jobman.parts, name, given, options)
    if not written:
        tell_there(job)
    if as_json:
        output.write_json(job_object(job, jobman.settings))
    else:
        output.write(talk.harmless(rows.summary(job)))


def _split_stdin() -> tuple[dict[str, Any], Any]:
    """One object of stdin, or an iterator over its lines, which are then read as they are needed."""
    import json
    from itertools import chain

    stdin = sys.stdin
    if stdin.isatty():
        raise UsageError(
            "`-` reads stdin, and nothing is piped into it", hint="Pipe JSON lines, or give JSON."
        )
    try:
        first = stdin.readline()
        while first and not first.strip():
            first = stdin.readline()
        try:
            json.loads(first)
        except (ValueError, RecursionError):
            text = first + stdin.read()
            try:
                json.loads(text)
            except (ValueError, RecursionError):
                if "\n" in text.strip():  # lines, and a bad one among them: name it
                    return {}, read_objects(text.splitlines(), "stdin")
            return read_object(text, "stdin"), None
        second = stdin.readline()
        while second and not second.strip():
            second = stdin.readline()
        if not second:
            return read_object(first, "stdin"), None
        return {}, read_objects(chain([first, second], stdin), "stdin")
    except UnicodeDecodeError as error:
        raise UsageError(f"stdin is not UTF-8: {error.reason}", hint="Convert it to UTF-8 first.") from None


def _print_many(done: Dispatched, as_json: bool) -> None:
    ids, there = done.ids, len(done.ids) - done.written
    first, last = (ids[0], ids[-1]) if len(ids) else (None, None)
    if as_json:
        output.write_json({"count": done.written, "there": there, "first_id": first, "last_id": last})
    else:
        span = f", ids {first} to {last}" if ids and not there else ""
        output.write(f"{done.written} jobs dispatched{span}")
    if there:
        talk.say(f"{there} of {len(ids)} were there already, by their unique keys")


def types(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[TYPE]", help="Show only this one, in full.", autocompletion=completion.job_types
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the job types, or show what one of them takes.

    With TYPE: its options, its parameters and the JSON Schema of its attribs.
    """
    jobman = jobman_of(ctx)
    if name is not None:
        _show_type(jobman.registry.find(name), as_json)
        return
    found = [jobman.registry.types[each] for each in sorted(jobman.registry.types)]
    tell_about_plugins(jobman)
    if as_json:
        output.write_json([type_object(job_type) for job_type in found])
        return
    if not found:
        talk.say("there are no job types")
        talk.hint("Name a plugin under `plugins:` or a module under `modules:` in the configuration.")
        return
    column = output.Column
    output.write_table(
        found,
        [
            column("type", lambda each: each.name),
            column("queue", lambda each: each.options.queue, rank=2),
            column("tries", lambda each: str(each.options.tries), rank=3, right=True),
            column("timeout", lambda each: _timeout(each), rank=3, right=True),
            column("description", lambda each: each.options.description, rank=1),
            column("origin", lambda each: each.origin, rank=4),
        ],
    )


def _show_type(job_type: JobType, as_json: bool) -> None:
    import json

    shown = whole_type_object(job_type)
    if as_json:
        output.write_json(shown)
        return
    schema, parameters = shown.pop("schema"), shown.pop("parameters")
    fields = [
        (key, str(value))
        for key, value in shown.items()
        if value is not False and value not in (None, [], "")
    ]
    for parameter in parameters:
        default = "required" if parameter["required"] else f"default {json.dumps(parameter['default'])}"
        text = f"{default}; {parameter['help']}" if parameter["help"] else default
        fields.append((f"attrib {parameter['name']}", text))
    fields.append(("schema", "\n" + json.dumps(schema, indent=2, ensure_ascii=False)))
    output.write_fields(fields)


def _timeout(job_type: JobType) -> str:
    return "none" if job_type.options.timeout is None else f"{job_type.options.timeout:g} s"
