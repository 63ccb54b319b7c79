"""What is wrong with plugins, modules and job types, and what to do."""

from __future__ import annotations

#: Gettext's mark for words that are translated where they are shown.
N_ = str

PLUGINS: tuple[str, ...] = (
    N_("To use it, add %(name)s to `plugins:` in the configuration."),
    N_("See `jobman plugins` for what is wrong, then repair it or take it off the `plugins:` list."),
    N_("more than one distribution brings a plugin of this name: %(names)s"),
    N_("Uninstall all but one of them."),
    N_("the installed plugins cannot be listed: %(reason)s"),
    N_("Repair or reinstall the distribution whose metadata is damaged."),
    N_("no installed distribution brings this plugin; the distribution %(name)s brings %(near)s"),
    N_("no installed distribution brings this plugin; did you mean %(near)s?"),
    N_("no installed distribution brings this plugin"),
    N_("Run `pip install %(distribution)s`, or take %(name)s off the `plugins:` list."),
    N_("there is no module %(name)s"),
    N_(
        "Correct `modules:` in the configuration, or put %(name)s where Python finds it: "
        "in the project's folder, or installed."
    ),
    N_("there is no hook %(name)s; did you mean %(near)s?"),
    N_("there is no hook %(name)s"),
    N_("Correct the name of the function marked @hookimpl; see docs/reference/hooks.md."),
    N_("jobman_job_types returned None"),
    N_("jobman_job_types returned a %(type)s, not a list"),
    N_("jobman_job_types returned a list with %(name)s, which is not a job type"),
    N_("Return a list of functions marked @job."),
    N_("Return functions marked @job only."),
    N_("Decorate %(name)s with @job."),
    N_(
        "job type %(type)s is registered twice: by %(one)s (%(origin)s), which keeps it, "
        "and by %(two)s (%(other)s)"
    ),
    N_("Rename one of the two, or take one of the plugins off the `plugins:` list."),
    N_("it ended the program: SystemExit(%(code)s)"),
    N_("Repair the module, or take it off the `modules:` list in the configuration."),
    N_(
        "Install what it needs, reinstall it with `pip install --force-reinstall %(distribution)s`, "
        "or take %(name)s off the `plugins:` list."
    ),
    N_("Update %(distribution)s, tell its author, or take %(name)s off the `plugins:` list."),
    N_("jobs: there is no job type %(name)s to override; did you mean %(near)s?"),
    N_("jobs: there is no job type %(name)s to override"),
    # Functions that cannot be job types.
    N_("job type %(type)s: %(rest)s"),
    N_("%(name)s cannot be the name of a job type"),
    N_("Use 1 to 100 of letters, digits and _ . : -"),
    N_("its signature cannot be read: %(reason)s"),
    N_("%(name)s is not a plain function"),
    N_("Put @job on a function defined with `def`, outside of any class."),
    N_("it is a generator, so calling it would run nothing"),
    N_("Take the `yield` out of the job function; a helper it calls may have one."),
    N_("parameter %(name)s is positional-only"),
    N_("parameter %(name)s is variadic positional"),
    N_("parameter %(name)s is variadic keyword"),
    N_("Attribs are passed by name: take the / out of the signature."),
    N_("Attribs are passed by name: replace *%(name)s with a list parameter."),
    N_("Each attrib needs a name and a type: replace **%(name)s with parameters."),
    N_("the annotation of parameter %(name)s cannot be resolved: %(reason)s"),
    N_(
        "Import or define the type above the function, at the module's top level and not under TYPE_CHECKING."
    ),
    N_("the annotation of parameter %(name)s is not a type, or holds a default"),
    N_("Give the type in the annotation and the default in the signature."),
    N_("the default of parameter %(name)s is a pydantic Field"),
    N_("Write `%(name)s: Annotated[<type>, Field(...)] = <default>`."),
    N_("a parameter's type has no JSON Schema: %(reason)s"),
    N_("parameter %(name)s: pydantic cannot validate this annotation: %(reason)s"),
    N_("pydantic cannot validate this annotation: %(reason)s"),
    N_("Use JSON types, dataclasses, enums, dates or pydantic models as annotations."),
    N_("a default cannot be used: %(rest)s"),
    N_("Make the default fit its annotation, such as `name: str | None = None`, and JSON."),
    N_("unique names %(name)s, which is no parameter of the function; did you mean %(near)s?"),
    N_("unique names %(name)s, which is no parameter of the function"),
    N_("Name parameters other than ctx, or give unique=True for all of them."),
    N_("there is no option %(name)s; did you mean %(near)s?"),
    N_("there is no option %(name)s"),
    N_("The options are %(some)s."),
    N_("%(name)s=%(value)s is out of bounds"),
    N_("Give 1 to 64 of letters, digits and _ . : -."),
    N_("Give a whole number from 1."),
    N_("Give a number of seconds above 0, or None for no limit."),
    N_("Give a list of seconds, each 0 or more."),
    N_("Give a whole number from %(low)s to %(high)s."),
    N_("Give a list of strings that are not empty."),
    N_("Give True, or a list of the function's parameters."),
    N_("Give a string."),
)
