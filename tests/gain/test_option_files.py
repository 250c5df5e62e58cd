from __future__ import annotations

import pytest
import yaml

from b2b_basicsr.gain.option_files import as_text, changed, shipped
from b2b_basicsr.gain.recipes import DELETE


def test_changes_make_sections_and_leave_the_original() -> None:
    options = {'train': {'gp_opt': None, 'optim_g': {'lr': 1}}, 'name': 'x'}
    result = changed(
        options, {'train:gp_opt:weight': 2, 'train:optim_g': DELETE, 'path:a': None, 'train:no:such': DELETE}
    )
    assert result == {'train': {'gp_opt': {'weight': 2}}, 'name': 'x', 'path': {'a': None}}
    assert options == {'train': {'gp_opt': None, 'optim_g': {'lr': 1}}, 'name': 'x'}


def test_a_key_through_a_value_is_a_mistake() -> None:
    with pytest.raises(ValueError, match='train:total_iter:x: total_iter is no section'):
        changed({'train': {'total_iter': 5}}, {'train:total_iter:x': 1})


@pytest.mark.parametrize('stage', ['deblur', 'kernel', 'translate', 'oracle', 'score', 'score_oracle'])
def test_text_means_what_the_shipped_file_means(stage: str) -> None:
    options = shipped(stage)
    text = as_text(options)
    assert yaml.safe_load(text) == options
    assert 'null' not in text
