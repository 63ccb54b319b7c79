"""Alembic migrations; each is written by hand and never edited once released."""
