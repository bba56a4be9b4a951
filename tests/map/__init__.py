"""Tests of the map's page and its data, without a browser."""
