"""A verb each: what the command line, the dashboard and an application's code can ask for.

Operations know the store and the engine, and neither a terminal nor a process.
"""
