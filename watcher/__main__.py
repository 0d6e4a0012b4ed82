"""`python -m watcher` and the `watcher` command: hands the arguments to the command line."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its code."""
    import gc
    import sys

    # Loading makes objects that stay; looking for garbage among them is a tenth of a short run.
    gc.set_threshold(20_000, 20, 20)

    from watcher.cli.app import cli

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name outside the locale's charset is no error
            stream.reconfigure(errors="backslashreplace")
    try:
        cli.main(prog_name="watcher")
    finally:
        gc.freeze()  # the process ends: nothing is left to collect


if __name__ == "__main__":
    main()
