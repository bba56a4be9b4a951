"""What a fix is: validation, time zones and ids, without I/O."""
