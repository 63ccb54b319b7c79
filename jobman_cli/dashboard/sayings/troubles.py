"""What is wrong that nobody asked for: servers that are away, alerts, entries of the schedule."""

from __future__ import annotations

#: Gettext's mark for words that are translated where they are shown.
N_ = str

TROUBLES: tuple[str, ...] = (
    # What is not there, and servers that are away.
    N_("there is no job %(id)s"),
    N_("See `jobman jobs`; the job may have been pruned."),
    N_("job %(id)s is %(state)s"),
    N_("Cancel it first; a running job ends when it looks whether it was cancelled."),
    N_("there is no job type %(name)s; did you mean %(near)s?"),
    N_("there is no job type %(name)s"),
    N_("See `jobman types`; a job type must come from a module or plugin that the configuration names."),
    N_("See `jobman types TYPE` for the names and types it takes."),
    N_("See `jobman --help`."),
    N_("the database %(where)s cannot be used: %(reason)s"),
    N_("the database's connection pool is used up"),
    N_("Check that the database runs and that `database:` in the configuration names it; then try again."),
    N_("Make room on the disk; nothing was written."),
    N_("the database %(where)s lacks Jobman's tables or columns: %(reason)s"),
    N_("the database has no Jobman tables yet"),
    N_("the database's tables are at revision %(current)s; this Jobman needs %(head)s"),
    N_("the database's tables are at revision %(current)s; this Jobman knows up to %(head)s"),
    N_("Run `jobman db upgrade`."),
    N_("Upgrade jobman-cli on this host."),
    N_("Redis at %(where)s cannot be used: %(reason)s"),
    N_("Check that Redis runs and that `queue:` in the configuration names it; then try again."),
    N_("Correct the configuration, then run `jobman config check`."),
    N_("Correct the function's signature or its @job options."),
    N_("It may belong to what could not be loaded: %(names)s. See `jobman plugins`."),
    N_("Run the command with --help, or `jobman doctor`, to find out more."),
    N_("the database let %(number)s transactions end in deadlocks"),
    N_("the database file %(path)s cannot be made: %(reason)s"),
    N_("Make its directory writable, or name another file under `database:`."),
    N_("Make the database file and its directory writable for this user."),
    N_("Name another file under `database:`, or restore this one from a backup."),
    # Alerts.
    N_("the first job of queue %(queue)s has waited %(number)s s; the limit is %(limit)s s"),
    N_("no worker serves queue %(queue)s; the first job of queue %(same)s has waited %(number)s s"),
    N_("%(kind)s %(name)s on %(host)s (process %(pid)s) fell silent; last heard %(rest)s"),
    N_("%(number)s queued rows were not in their queue and were pushed again"),
    N_("the queue was lost or replaced; %(number)s queued rows were pushed again"),
    N_("schedule %(name)s: the time %(time)s was missed and is left out"),
    N_("schedule %(name)s was due at %(time)s and no supervisor has fired it"),
    N_(
        "schedule %(name)s: %(host)s says %(times)s and does not fire it; "
        "%(others)s is in force, from a process that began later"
    ),
    # Entries of the schedule that cannot be fired, and how the last time ended.
    N_("there is no operation %(name)s; did you mean %(near)s?; known: %(known)s"),
    N_("there is no operation %(name)s; known: %(known)s"),
    N_("the operation %(name)s has no option %(option)s; did you mean %(near)s?"),
    N_("the operation %(name)s has no option %(option)s"),
    N_("the operation %(name)s needs the option `%(option)s`"),
    N_("%(option)s: expected %(rest)s, found %(value)s"),
    N_("a number of days from 0 to %(number)s"),
    N_("a number of hours from 0 to %(number)s"),
    N_("true or false"),
    N_("its process died %(number)s times"),
    N_("interrupted"),
    N_("never"),
)
