"""What strangers might send: bodies at the parser and the application, bytes at a real server."""
