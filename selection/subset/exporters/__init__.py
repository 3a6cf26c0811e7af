"""Formats in which a subset is written, one file each."""
