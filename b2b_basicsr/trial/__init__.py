"""``b2b check``: what an option file would do, tried for one step."""
