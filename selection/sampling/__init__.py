"""The designs, one file each: how likely each record is to be drawn, how the sample is drawn, how far estimates err."""
