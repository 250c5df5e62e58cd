"""``b2b demo``: Blur2Blur at small scale, from photographs to a page of results."""
