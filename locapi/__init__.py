"""Collect phone locations: validate, store once, and keep exact minute averages."""
