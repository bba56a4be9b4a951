"""Store fixes, each key once, and answer only when they are on disk."""
