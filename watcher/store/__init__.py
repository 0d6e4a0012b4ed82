"""The state file: one SQLite database with everything that must outlive a restart."""
