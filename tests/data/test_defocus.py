from __future__ import annotations

import numpy as np
import pytest

from b2b_basicsr.data.defocus import defocus_kernel


@pytest.mark.parametrize('radius', [0.4, 1.5, 2.5, 4.0])
def test_defocus_is_an_even_disc_in_the_middle(radius: float) -> None:
    kernel = defocus_kernel(radius)
    assert kernel.sum() == pytest.approx(1)
    assert np.array_equal(kernel, kernel[::-1, ::-1])
    assert np.array_equal(kernel, kernel.T)
    reach = np.flatnonzero(kernel.sum(0))
    assert (reach[-1] - reach[0] + 1) == pytest.approx(2 * radius, abs=1.1)
    area = 1 / kernel.max() if radius > 1 else np.pi * radius**2
    assert area == pytest.approx(np.pi * radius**2, rel=0.03)
