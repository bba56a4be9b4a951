"""Tests of the database: connection, schema, errors, replica sets and sharding."""
