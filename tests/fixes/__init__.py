"""Tests of what a fix is: validation, hints, time zones, ids and averages."""
