"""Drives everything: when to look, what to do about what was seen, and the runs that follow."""
