"""Tests of querying minutes and of each export format."""
