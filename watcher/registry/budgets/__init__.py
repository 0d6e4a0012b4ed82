"""How hard a registry may be pressed: turns, pace, quotas, and who asked to be left alone."""
