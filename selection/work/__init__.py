"""The work folder: what a run leaves for later runs, found again by content."""
