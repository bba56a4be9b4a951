"""Measurements of speed and memory, each taken in one run beside something named."""
