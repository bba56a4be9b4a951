"""Tests of metrics, status, health checks and the error log."""
