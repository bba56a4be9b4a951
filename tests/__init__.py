"""The tests of locapi."""
