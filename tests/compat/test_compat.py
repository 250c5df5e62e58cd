from __future__ import annotations

import basicsr
import pytest

from b2b_basicsr import compat
from b2b_basicsr.compat import mend
from b2b_basicsr.compat.mend import Mend, basicsr_has_faults, release


def test_every_mend_has_its_own_name_and_says_what_needs_it() -> None:
    names = [each.name for each in compat.MENDS]
    assert len(set(names)) == len(names)
    assert all(each.affects for each in compat.MENDS)


def test_import_basicsr_has_made_the_mends_that_this_environment_needs() -> None:
    assert {each.name for each in compat.applied()} >= {
        'resume_state',
        'frozen_networks',
        'training_length',
        'one_root',
    }


def test_a_mend_is_made_once_and_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    mends = (
        Mend(name='not needed', affects='none', needed=lambda: False, apply=lambda: made.append('not needed')),
        Mend(name='late', affects='all', needed=lambda: True, apply=lambda: made.append('late')),
        Mend(name='early', affects='all', needed=lambda: True, apply=lambda: made.append('early'), before_import=True),
    )
    monkeypatch.setattr(compat, 'MENDS', mends)
    monkeypatch.setattr(compat, '_applied', [])
    compat.apply_before_import()
    assert made == ['early']
    compat.apply_after_import()
    compat.apply_after_import()
    assert made == ['early', 'late']
    assert [each.name for each in compat.applied()] == ['early', 'late']


@pytest.mark.parametrize(
    ('version', 'faults'),
    [('1.3.5', True), ('1.4.2', True), ('1.4.2+local', True), ('1.4.3', False), ('1.5', False), ('2.0.0', False)],
)
def test_versions_of_basicsr_with_the_faults(monkeypatch: pytest.MonkeyPatch, version: str, faults: bool) -> None:
    monkeypatch.setattr(basicsr, '__version__', version)
    assert basicsr_has_faults() is faults


def test_release_of_a_version() -> None:
    assert release('1.4.2+git.abc') == (1, 4, 2)
    assert release('unknown') == ()
    assert mend.LAST_BASICSR_WITH_THESE_FAULTS == (1, 4, 2)
