"""Selection as a build step: whether a subset is still what its manifest says, and how it came about."""
