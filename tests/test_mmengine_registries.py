from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import basicsr.utils.registry as basicsr_registry
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATA_SAMPLERS, DATASETS, MODELS, DefaultScope
from PIL import Image

from b2b_basicsr import archs, losses, mmengine_registries
from b2b_basicsr.data import PairedFolderDataset, PositionedSampler, SingleFolderDataset, UnpairedBlurDataset
from b2b_basicsr.errors import UserError
from b2b_basicsr.registration import is_our_object

DOCUMENT = Path(__file__).resolve().parents[1] / 'docs' / 'mmengine.md'


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Folders blur and sharp of three pictures each, where the documentation's example has them."""
    generator = np.random.default_rng(0)
    folder = tmp_path / 'datasets' / 'mine' / 'unpaired'
    for side in ('blur', 'sharp'):
        (folder / side / 'scene').mkdir(parents=True)
        for index in range(3):
            levels = generator.integers(0, 256, (80, 90, 3), dtype=np.uint8)
            Image.fromarray(levels).save(folder / side / 'scene' / f'{index}.png')
    return folder


def test_networks_and_losses_are_built_by_scope() -> None:
    net = MODELS.build({'type': 'b2b.MIMOUNet', 'num_res': 1, 'base_channel': 8})
    assert type(net) is archs.MIMOUNet
    assert [tuple(out.shape[-2:]) for out in net(torch.rand(1, 3, 16, 24))] == [(4, 6), (8, 12), (16, 24)]
    assert MODELS.build({'type': 'b2b.BlockMeanLoss', 'block': 4}).block == 4
    assert type(MODELS.build({'type': 'b2b.NAFNet'})) is archs.NAFNet  # in BasicSR it stands under another name


def test_nothing_of_ours_is_left_out() -> None:
    everything = {
        kind.__name__: kind
        for registry in (basicsr_registry.ARCH_REGISTRY, basicsr_registry.LOSS_REGISTRY)
        for _, kind in registry
        if is_our_object(kind)
    }
    assert set(archs.__all__) | {'LPIPSLoss', 'PSNRLoss'} <= set(everything)
    for name, kind in everything.items():
        assert MODELS.get(f'b2b.{name}') is kind
    assert losses.LPIPSLoss in everything.values()
    for _, kind in basicsr_registry.DATASET_REGISTRY:
        if is_our_object(kind):
            assert DATASETS.get(f'b2b.{kind.__name__}') is not None


def test_as_default_scope_and_beside_mmengines_own() -> None:
    with DefaultScope.overwrite_default_scope('b2b'):
        assert type(MODELS.build({'type': 'PatchGANDiscriminator'})) is archs.PatchGANDiscriminator
        assert MODELS.get('BaseDataPreprocessor').__module__.startswith('mmengine')


def test_unpaired_set_takes_its_keys_flat(pictures: Path) -> None:
    config = Config(
        {
            'type': 'b2b.UnpairedBlurDataset',
            'dataroot_blur': str(pictures / 'blur'),
            'dataroot_sharp': str(pictures / 'sharp'),
            'synth_known_opt': {'length': (3, 9)},
            'gt_size': 32,
        }
    )
    dataset = DATASETS.build(config)
    assert type(dataset) is UnpairedBlurDataset
    sampler = DATA_SAMPLERS.build({'type': 'b2b.PositionedSampler'}, default_args={'dataset': dataset, 'seed': 7})
    assert type(sampler) is PositionedSampler
    epochs = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert sorted(key.picture for key in keys) == [0, 1, 2]
        assert {(key.seed, key.epoch) for key in keys} == {(7, epoch)}
        epochs.append({key.picture: dataset[key] for key in keys})
    first, second = (sample[0] for sample in epochs)
    assert first['lq_path'] == second['lq_path']
    assert first['known'].shape == (3, 32, 32)
    assert not torch.equal(first['lq'], second['lq'])
    with pytest.raises(UserError, match=r'datasets:train:gt_sise: unknown key; did you mean gt_size\?'):
        DATASETS.build({**config, 'gt_sise': 32})


def test_sampler_without_a_seed_draws_one(pictures: Path) -> None:
    sampler = DATA_SAMPLERS.build({'type': 'b2b.PositionedSampler', 'dataset': [0, 1], 'ratio': 2})
    assert len(list(sampler)) == 4
    assert isinstance(sampler.seed, int)


def test_the_other_sets(pictures: Path) -> None:
    sides = {'dataroot_lq': str(pictures / 'blur'), 'dataroot_gt': str(pictures / 'sharp')}
    paired = DATASETS.build({'type': 'b2b.PairedFolderDataset', **sides})
    assert type(paired) is PairedFolderDataset
    assert paired[1]['lq'].shape == paired[1]['gt'].shape == (3, 80, 90)
    keys = {'phase': 'train', 'gt_size': 16, 'use_hflip': True, 'use_rot': False}
    crops = DATASETS.build({'type': 'b2b.PairedFolderDataset', **sides, **keys})
    assert crops[0]['gt'].shape == (3, 16, 16)
    single = DATASETS.build({'type': 'b2b.SingleFolderDataset', 'dataroot_lq': str(pictures / 'blur')})
    assert type(single) is SingleFolderDataset
    assert len(single) == 3
    assert set(single[0]) == {'lq', 'lq_path'}


def test_every_name_of_the_documentation_is_there() -> None:
    table = DOCUMENT.read_text(encoding='utf-8').split('## A training')[0]
    names = set(re.findall(r'`(b2b\.\w+)`', table))
    assert len(names) > 12
    for name in names:
        found = [registry.get(name) for registry in (MODELS, DATASETS, DATA_SAMPLERS) if name[4:] in _here(registry)]
        assert len(found) == 1, name


def _here(registry: object) -> dict[str, object]:
    children: dict[str, object] = registry._children['b2b']._module_dict  # type: ignore[attr-defined]
    return children


def test_without_mmengine_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, mmengine_registries.__name__)
    for name in [name for name in sys.modules if name.split('.')[0] == 'mmengine']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'mmengine', None)
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(mmengine_registries.__name__)
    assert str(caught.value) == (
        "b2b_basicsr.mmengine_registries: mmengine is not installed; pip install 'b2b-basicsr[mmengine]'"
    )
    assert caught.value.__suppress_context__


@pytest.mark.slow
def test_the_example_of_the_documentation_trains(pictures: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r'```python\n(.*?)```', DOCUMENT.read_text(encoding='utf-8'), flags=re.DOTALL)
    (tmp_path / 'example.py').write_text(code)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(DOCUMENT.parents[1])}
    done = subprocess.run(
        [sys.executable, 'example.py'],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if 'l_g_percep' in line]
    assert len(lines) == 4
    assert all(f'{name}: ' in lines[-1] for name in ('l_d_real', 'l_d_fake', 'l_d_gp', 'l_g_gan'))
    saved = torch.load(tmp_path / 'experiments' / 'mmengine' / 'net_g.pth', weights_only=True)
    archs.MIMOUNet(num_res=1, base_channel=8).load_state_dict(saved['params'])
