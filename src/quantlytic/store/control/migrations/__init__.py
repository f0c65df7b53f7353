"""Alembic's folder. `control.py` runs it; to add a revision put a file into `versions/` and raise `schema.HEAD`."""
