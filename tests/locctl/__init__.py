"""Tests of the command line: its commands, messages, exit codes and signals."""
