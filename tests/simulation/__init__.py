"""Tests of the simulator, its sample tracks and the demonstration."""
