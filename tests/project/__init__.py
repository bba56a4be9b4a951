"""Tests of the project's files, settings and packaging."""
