"""Tests of importing files, and of each import format."""
