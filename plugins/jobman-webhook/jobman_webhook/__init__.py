"""Jobman's alerts as signed JSON POSTs, or as messages to Slack."""

from __future__ import annotations

from jobman_cli import hookimpl


@hookimpl
def jobman_alert(alert, options):
    """Hand the alert over to the sender's thread; raises when the options are wrong."""
    from jobman_webhook.delivery import SENDER, make_request

    SENDER.hand_over(make_request(alert, options))


@hookimpl
def jobman_doctor_checks(options):
    """See before the first alert that one could be sent."""
    from jobman_webhook.delivery import find_fault

    return {"options": lambda: find_fault(options)}
