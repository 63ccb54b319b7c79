"""The doorbell: lines of job ids in Redis, or no message at all and the table itself as the line.

Nothing here is the truth. A line may lose, repeat or invent ids; who takes an id asks the row.
"""
