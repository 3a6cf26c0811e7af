"""The population: which records may be drawn, which are certain to be, and how many others each stands for."""
