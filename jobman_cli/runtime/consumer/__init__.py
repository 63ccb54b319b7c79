"""Huey's consumer, worker and scheduler, made ours. Only this folder of the runtime knows Huey."""
