"""The own APIs of registries, which tell in one request what v2 tells in many.

One module for each API: where to ask, and what an answer says. newest.py reads those that list
tags newest first, harbor.py the one that lists changed repositories; asking.py knows how to log in
to each, and when to leave one alone. What is told here is a hint: the poller confirms by v2 before
anything is recorded as moved. field facts: registries.md section 3.1.
"""
