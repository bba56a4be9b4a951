"""Sample tracks, and the replay of tracks against a running API over HTTP."""
