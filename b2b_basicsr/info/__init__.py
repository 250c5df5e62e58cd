"""What ``b2b info`` tells: networks and what they cost, weights, the environment."""
