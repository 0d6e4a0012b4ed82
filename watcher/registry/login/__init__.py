"""Getting in: challenges, passwords sent at once, tokens and their scopes, and what is refused."""
