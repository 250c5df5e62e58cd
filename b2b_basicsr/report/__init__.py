"""``b2b report``: a training or a test as one HTML page that needs nothing beside it."""
