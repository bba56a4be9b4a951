"""Tests of greenlets, threads and request coalescing."""
