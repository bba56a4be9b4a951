"""What locapi is measured against."""
