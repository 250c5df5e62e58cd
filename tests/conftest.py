"""What holds for every test."""

from __future__ import annotations

import os

# Before torch is imported: threads that wait by spinning take the two cores of a small machine from everything else.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
