"""Send generated bodies to the parser and the application, and generated HTTP to a server."""
