"""Wait without blocking other requests, and let calls in flight share one."""
