"""The composition root: builds what a config asks for; owns tasks, signals and the state file."""
