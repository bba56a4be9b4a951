"""Tests that need a Docker engine; run by `make docker-test` only."""
