"""Show tracks on a map: one HTML page that works offline."""
