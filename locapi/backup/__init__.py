"""Dump the database to a file and restore it."""
