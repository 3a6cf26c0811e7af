"""Where files lie and how they are written: own files, object stores, locks, whole or not at all."""
