"""Tests of the benchmarks and of the tables that they write."""
