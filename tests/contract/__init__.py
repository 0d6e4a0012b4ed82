"""What every engine has to promise, with real processes and real kills (engine/port.py)."""
