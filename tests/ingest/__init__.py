"""Tests of storing fixes: identity, group commit, bulk insert, tokens and rejects."""
