"""Processes and what they do: the worker's turn, one attempt, the supervisor, maintenance."""
