"""The command line: one file for each group of commands.

Commands read options, call an operation and print; they hold no SQL and no rule of their own. ``main`` is
cheap to import: what a command needs is imported when the command is asked for.
"""
