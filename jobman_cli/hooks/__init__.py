"""The seam for plugins: the only place that knows pluggy.

``specs`` says what a plugin may do, ``loader`` finds and loads the ones that the configuration names,
``registry`` is what the rest of Jobman asks. It gets plain values and must not know the settings.
"""

from jobman_cli.hooks.loader import load_registry
from jobman_cli.hooks.registry import PluginInfo, Registry
from jobman_cli.hooks.specs import hookimpl, hookspec

__all__ = ["PluginInfo", "Registry", "hookimpl", "hookspec", "load_registry"]
