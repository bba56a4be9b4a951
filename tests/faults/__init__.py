"""Real processes that are killed, paused and cut off under load, and who judges what is left."""
