"""Tests of dump and restore, and of moving to another database."""
