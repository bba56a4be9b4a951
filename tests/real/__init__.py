"""The published real tracks: what locapi makes of them, against a reference of its own."""
