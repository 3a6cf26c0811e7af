"""Encoders: what turns a record into a vector."""
