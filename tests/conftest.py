"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Before torch is imported: threads that wait by spinning take the two cores of a small machine from everything else.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

# Cases that are made up: few in CI, the same ones every time, and many with HYPOTHESIS_PROFILE=thorough. Nothing is
# written into the repository.
_EVERYWHERE = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile('ci', _EVERYWHERE, max_examples=150, derandomize=True)
settings.register_profile('thorough', _EVERYWHERE, max_examples=1500)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'ci'))
