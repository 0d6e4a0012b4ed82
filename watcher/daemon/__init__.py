"""The composition root: builds what a config asks for, and owns tasks, signals and the state file."""
