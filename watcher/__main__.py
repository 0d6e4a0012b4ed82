"""`python -m watcher` and the `watcher` command: hands the arguments to the command line."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its code."""
    import sys

    from watcher.cli.app import cli

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name outside the locale's charset is no error
            stream.reconfigure(errors="backslashreplace")
    cli.main(prog_name="watcher")


if __name__ == "__main__":
    main()
