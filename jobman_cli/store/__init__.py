"""Everything that touches the database: tables, migrations, every write, every read.

The only room that knows SQL. What leaves it are plain values and the rows' own classes.
"""
