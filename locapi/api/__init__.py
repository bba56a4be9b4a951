"""The HTTP API: its Flask application, its endpoints and how a server calls it."""
