"""Export minutes: query them, average them over longer buckets, write them in some format."""
