"""``b2b rank-known``: which known blur a target camera's is best translated to, told without pairs of that camera."""
