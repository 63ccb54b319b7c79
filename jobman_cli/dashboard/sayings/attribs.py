"""Why a dispatch is refused."""

from __future__ import annotations

#: Gettext's mark for words that are translated where they are shown.
N_ = str

ATTRIBS: tuple[str, ...] = (
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
    N_("unique_key: %(text)s is no key"),
    N_("Use printable text of 1 to %(number)s characters, with no blank at its ends."),
    N_("jobs with the unique key %(text)s came and went %(number)s times"),
    N_("job %(id)s bore the key %(text)s and is deleted"),
    N_("Try again."),
    N_("tags: %(text)s is no list"),
    N_('Give a list of texts, such as ["nightly"].'),
    # Attribs that do not fit the signature, or no row.
    N_("See `jobman types %(name)s` for the names and types it takes."),
    N_("and %(number)s more"),
    N_("no such parameter; did you mean %(near)s?"),
    N_("no such parameter"),
    N_("did you mean %(near)s?"),
    N_("%(rest)s (as read back from JSON)"),
    N_("the value cannot be converted to JSON (%(reason)s)"),
    N_("the validation itself failed (%(reason)s)"),
    N_("attribs must be an object, not %(type)s"),
    N_('Give names and values, such as {"name": "Ada"}.'),
    N_("is nested more than %(number)s levels deep"),
    N_("is not a finite number, which JSON cannot hold"),
    N_("is an integer beyond 64 bits"),
    N_("is a %(type)s, which JSON cannot hold"),
    N_("has the key %(text)s, and a key must be a string"),
    N_("has the key %(text)s, which %(rest)s"),
    N_("contains a NUL character"),
    N_("contains half a surrogate pair, which is not a character"),
    N_("the object %(rest)s"),
)
