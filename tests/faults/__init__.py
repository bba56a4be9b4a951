"""Kill, pause and cut off real processes under load, and check what is stored."""
