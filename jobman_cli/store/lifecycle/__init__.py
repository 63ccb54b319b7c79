"""Every write to the tables, one file a verb; each is a compare-and-set on the row.

The fence is ``(id, status = 'running', claims, worker_id)``: ``claims`` grows at each claim and never
falls, so a worker that was given up cannot finish what somebody else runs.
"""
