"""What is said by code that knows no language, in actions, questions and errors; and how it is translated.

Operations and the command line speak English, and the audit keeps it. A page that shows such a text finds the
saying it was made of, and says the same in the visitor's language. A text that is no saying stays as it is; a
test goes over the dashboard's own code and finds each that is missing here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

#: Gettext's mark for words that are translated where they are shown.
N_ = str
#: Characters beyond which a text is left as it is: whoever writes so much does not speak in sayings.
LONGEST = 600
#: Places in a saying that hold another saying, and those that hold a word that is translated by itself.
NESTED, WORD = ("what", "rest"), ("state", "kind", "takes")

SAYINGS: tuple[str, ...] = (
    # Actions on jobs.
    N_("Job %(id)s runs again."),
    N_("%(number)s failed job retried."),
    N_("%(number)s failed jobs retried."),
    N_("%(number)s job run again."),
    N_("%(number)s jobs run again."),
    N_("Job %(id)s was asked to stop."),
    N_("Job %(id)s is cancelled."),
    N_("Job %(id)s is deleted."),
    N_("Job %(id)s is off the list of failed jobs."),
    N_("Job %(id)s (%(type)s) is dispatched."),
    N_("Job %(id)s (%(type)s) is there already, by its unique key."),
    N_("job %(holder)s has the unique key of job %(id)s"),
    N_("Run it again when that one has ended."),
    N_("%(what)s Left alone, with the job that has its unique key: %(jobs)s."),
    N_("Job %(id)s (%(type)s) is %(state)s."),
    N_("Retry %(number)s failed job?"),
    N_("Retry %(number)s failed jobs?"),
    N_("Retry %(number)s failed job (%(search)s)?"),
    N_("Retry %(number)s failed jobs (%(search)s)?"),
    N_("Retry them"),
    N_("Run %(number)s finished job again (%(search)s)?"),
    N_("Run %(number)s finished jobs again (%(search)s)?"),
    N_("Run them again"),
    N_("Delete job %(id)s (%(type)s) with its logs and attempts? It cannot be brought back."),
    N_("Delete it"),
    N_("nothing to do: job %(id)s is %(state)s"),
    N_("Look at the job again: it may have changed meanwhile."),
    N_("only finished jobs can run again, and not all of them at once"),
    N_("Search for some, such as status:completed type:send-mail."),
    # Actions on queues.
    N_("Queue %(queue)s is paused for %(time)s."),
    N_("Queue %(queue)s is paused until it is continued."),
    N_("Queue %(queue)s was not paused."),
    N_("Queue %(queue)s goes on."),
    N_("Cancel %(number)s waiting jobs of queue %(queue)s? Running jobs go on."),
    N_("Cancel %(number)s jobs"),
    N_("%(number)s waiting jobs of queue %(queue)s are cancelled."),
    N_("%(number)s jobs were pushed."),
    N_(
        "%(number)s jobs were pushed: %(pending)s were pending, "
        "%(missing)s of %(checked)s queued ones were missing."
    ),
    N_("for: %(text)s is no time to pause"),
    N_("Use %(some)s, or leave it out."),
    # Actions on the schedule.
    N_("%(name)s is paused already."),
    N_("%(name)s is paused: its times pass until it is continued."),
    N_("%(name)s stays paused: take `paused: true` off in the configuration."),
    N_("%(name)s goes on."),
    N_("%(name)s was not paused."),
    N_("%(name)s runs; what comes of it will be shown here."),
    N_("%(name)s: %(state)s: %(rest)s"),
    N_("there is no entry %(name)s in the schedule; did you mean %(near)s?"),
    N_("there is no entry %(name)s in the schedule"),
    N_("See `jobman schedule list`."),
    N_("%(name)s: a time of it waits or runs already"),
    N_("Wait for it: `jobman schedule list`."),
    N_("somebody else has taken it over"),
    N_("%(number)s job(s) deleted"),
    N_("%(number)s failed job(s) forgotten"),
    N_("%(number)s job(s) pushed"),
    N_("%(number)s row(s) of metrics rolled up"),
    # Actions on supervisors.
    N_("%(kind)s %(name)s on %(host)s"),
    N_("master"),
    N_("supervisor"),
    N_("%(number)s masters and supervisors on %(hosts)s host"),
    N_("%(number)s masters and supervisors on %(hosts)s hosts"),
    N_("Pause %(what)s? Running jobs go on to their end."),
    N_("Terminate %(what)s? Running jobs may finish; the others stay in their queues."),
    N_("Pause"),
    N_("Terminate"),
    N_("%(what)s: paused."),
    N_("%(what)s: continued."),
    N_("%(what)s: ending."),
    N_("No answer yet from %(what)s: it is done as soon as they look."),
    N_("%(rest)s No answer yet from %(what)s: it is done as soon as they look."),
    N_("nobody is there to be told"),
    N_("It has ended meanwhile: look at Supervisors again."),
    N_("who is meant is not clear"),
    N_("Name one supervisor, or one host, or neither."),
    # Actions on tags.
    N_("%(tag)s is monitored."),
    N_("%(tag)s was monitored already."),
    N_("%(tag)s is monitored no more."),
    N_("%(tag)s was not monitored."),
    N_("a tag has 1 to %(number)s characters"),
    N_("Use another one."),
    # Addresses and forms.
    N_("There is no such page."),
    N_("Choose one from the menu."),
    N_("there is no action %(name)s"),
    N_("there is no question %(name)s"),
    N_("Go back, and use the page's own buttons."),
    N_("a form has at most %(number)s fields"),
    N_("Send fewer."),
    N_("no plugin brings this page"),
    N_("See the page Plugins for what there is."),
    N_("plugin %(plugin)s: its page %(name)s failed: %(reason)s"),
    N_("The traceback is in the log of the dashboard."),
    N_("since: %(text)s is no time to look back"),
    N_("%(name)s: %(text)s cannot be a name"),
    N_("Use letters, digits, and the characters _ . : -"),
    N_("This is no number."),
    N_("This is no JSON."),
    N_("priority: this is no whole number"),
    N_("Use -1000 to 1000."),
    N_("Use %(some)s."),
    # The search.
    N_("the search is too long"),
    N_("Use at most %(number)s characters."),
    N_("%(name)s: cannot be asked for here"),
    N_("Use %(some)s or text in the error."),
    N_("%(name)s: is asked for twice"),
    N_("error: and the words %(text)s ask for the same"),
    N_("%(name)s: %(text)s is no id"),
    N_("Use a whole number from 1."),
    N_('a quote " is not closed'),
    N_('Close it; in quotes, \\" is a quote.'),
    N_("%(name)s: is no qualifier; %(near)s: is one"),
    N_("%(name)s: has no value"),
    N_("status: %(text)s is no state"),
    N_("%(name)s: takes %(takes)s, such as %(example)s"),
    N_("there were no jobs at that time"),
    N_("Use a time after 1970, or 2h, 3d … for ago."),
    N_("%(since)s is not before %(until)s"),
    N_("Exchange them, or leave one out."),
    # Values.
    N_("%(name)s: %(text)s is no duration"),
    N_("Use seconds, or a number with a unit: 30s, 5m, 2h, 1d."),
    N_("%(name)s: %(text)s is no time"),
    N_("Use a date or time such as 2030-01-31 or 2030-01-31T12:00+08:00, or 2h, 3d … for ago."),
    N_("%(name)s: %(text)s is in no row"),
    N_("Use printable text of 1 to %(number)s characters."),
    N_("%(name)s: %(text)s is no queue name"),
    N_("Use 1 to 64 letters, digits, and the characters _ . : -"),
    N_("for: %(number)s s is out of bounds"),
    N_("Use a time such as 10m or 2h."),
    # A dispatch that is refused.
    N_("priority: %(number)s is out of bounds"),
    N_("Use a whole number, %(low)s … %(high)s."),
    N_("%(text)s is out of bounds"),
    N_("%(name)s: the attribs take %(size)s bytes, more than %(most)s"),
    N_("Store the data elsewhere and pass its key, or raise `max_attribs_bytes`."),
    N_("tags: %(text)s is no tag"),
    N_("tags: %(number)s are too many"),
    N_("Use at most %(number)s."),
    N_("delay: %(text)s is no number of seconds"),
    N_("Use a number such as 30 or 0.5."),
    N_("delay: %(number)s s is out of bounds"),
    N_("Use 0 up to a year, in seconds."),
    N_("%(text)s is no number of seconds"),
    N_("%(text)s is no tag"),
    N_("%(text)s is no queue name"),
    N_("%(text)s is no duration"),
    N_("%(number)s are too many"),
    N_("this is no whole number"),
    N_("Field required"),
    N_("Input should be a valid integer"),
    N_("Input should be a valid integer, unable to parse string as an integer"),
    N_("Input should be a valid number"),
    N_("Input should be a valid string"),
    N_("Input should be a valid boolean"),
    N_("Input should be a valid list"),
    N_("Input should be a valid dictionary"),
    N_("Input should be a finite number"),
    N_("Input should be greater than %(number)s"),
    N_("Input should be greater than or equal to %(number)s"),
    N_("Input should be less than %(number)s"),
    N_("Input should be less than or equal to %(number)s"),
    N_("Input should be %(some)s"),
    N_("String should have at least %(number)s character"),
    N_("String should have at least %(number)s characters"),
    N_("String should have at most %(number)s character"),
    N_("String should have at most %(number)s characters"),
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
)

_PLACE = re.compile(r"%\((\w+)\)s")


def translated(message: str, say: Callable[[str], str]) -> str:
    """The same in another language, as far as it is a saying.

    Args:
        say: Gettext.

    >>> translated("Job 7 runs again.", {"Job %(id)s runs again.": "工作 %(id)s 再次執行。"}.get)
    '工作 7 再次執行。'
    """
    if message in SAYINGS:
        return say(message)
    if len(message) > LONGEST:
        return message
    for saying, pattern in _patterns():
        if (found := pattern.fullmatch(message)) is not None:
            return say(saying) % {name: _part(name, each, say) for name, each in found.groupdict().items()}
    return message


def _part(name: str, value: str, say: Callable[[str], str]) -> str:
    if name in NESTED:
        return translated(value, say)
    return say(value) if name in WORD else value


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Sayings with places, those with the most words of their own first."""
    some = sorted((each for each in SAYINGS if _PLACE.search(each)), key=_own, reverse=True)
    return [(each, _pattern(each)) for each in some]


def _own(saying: str) -> int:
    return len(_PLACE.sub("", saying))


def _pattern(saying: str) -> re.Pattern[str]:
    parts = _PLACE.split(saying)  # words, a name, words, a name …
    return re.compile(
        "".join(f"(?P<{part}>.+?)" if place % 2 else re.escape(part) for place, part in enumerate(parts)),
        re.DOTALL,
    )
