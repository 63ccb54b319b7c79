"""The configuration: one YAML file, the environment and the command line's flags, read once and checked.

``load_settings`` returns finished values and says everything that is wrong at once, each fault with the
file and line, variable or flag it came from. It opens one file and nothing else: whether a database
answers or a plugin exists is for others to find out.

The way of a value: ``document`` (YAML text to nodes that know their line) → ``layers`` (environment and
flags to the same nodes, laid over each other) → ``shape`` (what each setting may be) → ``model``.
"""

from jobman_cli.settings.json_schema import settings_schema
from jobman_cli.settings.listing import Listed, list_settings
from jobman_cli.settings.load import load_settings
from jobman_cli.settings.model import NO_LIMIT, SUPERVISOR_DEFAULTS, JobOverride, Settings
from jobman_cli.settings.urls import mask_url

__all__ = [
    "NO_LIMIT",
    "SUPERVISOR_DEFAULTS",
    "JobOverride",
    "Listed",
    "Settings",
    "list_settings",
    "load_settings",
    "mask_url",
    "settings_schema",
]
