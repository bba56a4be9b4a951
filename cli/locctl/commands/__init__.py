"""The commands of locctl, one module each."""
