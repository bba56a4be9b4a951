"""`locctl`, the command line: thin over the locapi module of each command's name."""
