"""Tests of fold, watermarks, leases, prune, verify and erase."""
