"""Tests of docker-compose.cluster.yml; run by `make docker-test` only."""
