"""The pure part: what a job is, without a database, a queue or a process."""
