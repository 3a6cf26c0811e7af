"""The ways to score records, one file each: whose losses to ask for, and how likely each record is to be drawn."""
