"""The command line: the only place that prints and exits.

Start-up is part of the contract (`run --once` is a cron job), so this file imports nothing and
`app` loads the module of a command only when that command is called.
"""
