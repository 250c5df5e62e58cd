from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.archs import vgg_arch
from basicsr.losses import build_loss

from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.vgg_weights import vgg_features, vgg_weights
from tests.golden_recipe import golden_input, load_golden

LAYERS = {'relu2_2': 1 / 32, 'relu3_3': 1 / 16, 'relu4_1': 1 / 8, 'relu4_3': 1 / 4, 'conv5_1': 1.0}


def _perceptual_loss(**changes: Any) -> torch.nn.Module:
    options = {'type': 'PerceptualLoss', 'layer_weights': LAYERS, 'vgg_type': 'vgg16', 'use_input_norm': False}
    loss: torch.nn.Module = build_loss({**options, 'criterion': 'l1', **changes})
    return loss


def test_golden_perceptual_loss(golden_vgg16: Path) -> None:
    manifest, arrays = load_golden('vgg16_perceptual')
    first, second = (golden_input(i['shape'], i['seed']) for i in manifest['inputs'])
    with vgg_weights(str(golden_vgg16)):
        loss = _perceptual_loss()
    assert loss(first, second)[0].item() == pytest.approx(float(arrays['loss'][0]), rel=2e-5)
    assert loss(first, first)[0].item() == 0


def test_basicsr_is_left_as_it_was(golden_vgg16: Path) -> None:
    before = vgg_arch.vgg, vgg_arch.VGG_PRETRAIN_PATH
    with vgg_weights(str(golden_vgg16)):
        assert vgg_arch.vgg is not before[0]
    assert (vgg_arch.vgg, vgg_arch.VGG_PRETRAIN_PATH) == before


def test_another_vgg_in_the_working_folder_is_not_taken(
    golden_vgg16: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray = tmp_path / vgg_arch.VGG_PRETRAIN_PATH
    stray.parent.mkdir(parents=True)
    torch.save({'features.0.weight': torch.zeros(1)}, stray)
    monkeypatch.chdir(tmp_path)
    with vgg_weights(str(golden_vgg16)):
        _perceptual_loss()


def test_missing_file_failed_download_and_another_network(
    golden_vgg16: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"train:vgg_weights: no file '/nowhere/vgg16.pth'"):
        vgg_features('vgg16', '/nowhere/vgg16.pth')
    with pytest.raises(UserError, match="does not hold torchvision's vgg19"):
        vgg_features('vgg19', str(golden_vgg16))
    with pytest.raises(UserError, match="train:identity_opt:vgg_type: 'vgg12'"):
        vgg_features('vgg12', str(golden_vgg16), 'train:identity_opt:vgg_type')
    text = tmp_path / 'text.pth'
    text.write_text('no weights')
    with pytest.raises(UserError, match='cannot be read as weights'):
        vgg_features('vgg16', str(text))

    def offline(*args: Any, **kwargs: Any) -> None:
        raise OSError('no network')

    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', offline)
    with pytest.raises(UserError, match=r'train:vgg_weights: vgg16 could not be downloaded .*no network'):
        vgg_features('vgg16', 'download')
