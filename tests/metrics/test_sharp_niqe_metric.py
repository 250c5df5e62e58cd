"""NIQE to one's own sharp pictures, and faithfulness to what was deblurred."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from basicsr.metrics import calculate_metric
from basicsr.utils.registry import METRIC_REGISTRY
from PIL import Image

from b2b_basicsr.checks.section_types import metric_section
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.errors import UserError
from b2b_basicsr.metrics import calculate_sharp_niqe, sharp_niqe_metric
from b2b_basicsr.models.scores import Scores
from b2b_basicsr.records.score_names import DIRECT, Comparison

Levels = np.ndarray[Any, np.dtype[np.uint8]]


def _picture(seed: int, height: int = 128, width: int = 128) -> Levels:
    noise = np.random.default_rng(seed).normal(128, 60, (height, width, 3))
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 1.2), 0, 255).astype(np.uint8)


def _blurred(width: int) -> Levels:
    return np.asarray(cv2.blur(_picture(99), (width, 1)), dtype=np.uint8)


@pytest.fixture
def sharp(tmp_path: Path) -> Path:
    folder = tmp_path / 'sharp'
    folder.mkdir()
    for seed in range(12):
        Image.fromarray(_picture(seed)[..., ::-1]).save(folder / f'{seed:02}.png')
    sharp_niqe_metric._likeness.cache_clear()
    return folder


def test_the_sharper_and_the_more_faithful_the_better(sharp: Path) -> None:
    section = {'type': 'calculate_sharp_niqe', 'sharp': str(sharp)}

    def score(picture: Levels, **keys: Any) -> float:
        return calculate_metric({'img': picture, 'deblurred_from': _blurred(9)}, {**section, **keys})

    restored = [score(_blurred(width)) for width in (1, 3, 5, 9)]
    assert restored == sorted(restored)
    ringing = np.clip(2.5 * _blurred(1).astype(float) - 1.5 * _blurred(5), 0, 255).astype(np.uint8)
    assert score(ringing) > restored[0]
    # As sharp, but nine levels brighter.
    brighter = _blurred(1) + np.uint8(9)
    assert score(brighter) == pytest.approx(restored[0] + 8 * 9, abs=5)
    assert score(brighter, faithfulness=0.5) == pytest.approx(score(_blurred(1), faithfulness=0.5) + 4.5, abs=0.5)
    assert score(brighter, faithfulness=0) == pytest.approx(score(_blurred(1), faithfulness=0), abs=0.5)


def test_borders_and_order_of_the_axes(sharp: Path) -> None:
    pictures = {'img': _picture(99), 'deblurred_from': _blurred(5)}
    inner = {name: picture[32:-32, 32:-32].copy() for name, picture in pictures.items()}
    expected = calculate_sharp_niqe(**inner, sharp=str(sharp))
    assert calculate_sharp_niqe(**pictures, sharp=str(sharp), crop_border=32) == pytest.approx(expected)
    turned = {name: picture.transpose(2, 0, 1) for name, picture in pictures.items()}
    assert calculate_sharp_niqe(
        **turned, sharp=str(sharp), crop_border=32, input_order='CHW'
    ) == pytest.approx(expected)  # fmt: skip
    with pytest.raises(ValueError, match=r'differ in size: \(128, 128, 3\) and \(64, 64, 3\)'):
        calculate_sharp_niqe(pictures['img'], inner['deblurred_from'], str(sharp))


def test_the_folder_is_read_once_and_no_more_of_it_than_asked_for(sharp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = PictureSource.read

    def counted(source: Any, place: int) -> Image.Image:
        read.append(place)
        return original(source, place)

    monkeypatch.setattr(PictureSource, 'read', counted)
    values = [calculate_sharp_niqe(_picture(99), _blurred(5), str(sharp), pictures=4) for _ in range(2)]
    assert values[0] == values[1]
    assert read == [0, 4, 7, 11]


def test_lower_is_better_and_it_needs_what_was_deblurred_but_no_ground_truth(sharp: Path) -> None:
    assert METRIC_REGISTRY.get('calculate_sharp_niqe') is calculate_sharp_niqe
    scores = Scores({'score': {'type': 'calculate_sharp_niqe', 'sharp': str(sharp)}}, Comparison((DIRECT,)))
    assert scores.better('score') == scores.better('score_direct') == 'lower'
    assert not scores.needs_gt('score')
    expected = {'score': calculate_sharp_niqe(_picture(0), _picture(2), str(sharp))}
    assert scores.of(_picture(0), None, _picture(2)) == scores.of(_picture(0), _picture(1), _picture(2)) == expected
    assert scores.of(_picture(0), _picture(1)) == {}


def test_options_are_strict(sharp: Path) -> None:
    options = metric_section(calculate_sharp_niqe)
    assert options is not None
    assert not {'img', 'deblurred_from'} & set(options.model_fields), 'pictures are no options'
    section = {'type': 'calculate_sharp_niqe', 'sharp': str(sharp)}
    read = options.from_options('val:metrics:x', section).model_dump()
    assert (read['pictures'], read['faithfulness']) == (100, 8.0)
    for key, value in (('pictures', 1), ('pictures', '40'), ('sharp', 3), ('faithfulness', -1), ('blocks', 32)):
        with pytest.raises(UserError, match=f'val:metrics:x:{key}'):
            options.from_options('val:metrics:x', {**section, key: value})
    with pytest.raises(UserError, match='val:metrics:x:sharp: missing'):
        options.from_options('val:metrics:x', {'type': 'calculate_sharp_niqe'})


def test_what_is_wrong_with_the_folder_is_said_before_training(sharp: Path, tmp_path: Path) -> None:
    check = vars(calculate_sharp_niqe)['check']
    check(sharp=str(sharp), crop_border=0)
    with pytest.raises(UserError, match=r'sharp: no folder .*none.* give the path of a folder'):
        check(sharp=str(tmp_path / 'none'))
    Image.fromarray(_picture(0, 60, 70)).save(sharp / '00.png')
    with pytest.raises(UserError, match=r'sharp: .*00.png is smaller than 64x64 pixels; take it out'):
        check(sharp=str(sharp))
    for file in sorted(sharp.iterdir())[1:]:
        file.unlink()
    with pytest.raises(UserError, match='has one picture; give a folder with more'):
        check(sharp=str(sharp))


def test_small_pictures(sharp: Path) -> None:
    with pytest.raises(UserError, match='needs pictures of 64x64 at least, but got 70x60'):
        calculate_sharp_niqe(_picture(0, 60, 70), _picture(1, 60, 70), str(sharp))
