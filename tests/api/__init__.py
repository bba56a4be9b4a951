"""Tests of the HTTP API: each endpoint, authentication, and the server under load."""
