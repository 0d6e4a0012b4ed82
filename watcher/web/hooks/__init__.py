"""Inbound webhooks (SPEC 9): what each sender's payload says, whether it may, and the answer.

One module per sender reads its payload into a Message, purely; `reception` is the order of checks.
A payload is only a hint: the daemon polls the repository that it names, and nothing else.
"""
