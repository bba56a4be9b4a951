"""Metrics, status and health checks."""
