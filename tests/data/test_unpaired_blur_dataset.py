from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from PIL import Image
from torch.utils.data import DataLoader

from b2b_basicsr.data import PositionedSampler, SampleKey, UnpairedBlurDataset
from b2b_basicsr.errors import UserError

MakePictures = Callable[..., Path]
NOTES = ('epoch', 'position', 'replaced')


@pytest.fixture
def options(make_pictures: MakePictures) -> dict[str, Any]:
    return {
        'type': 'UnpairedBlurDataset',
        'name': 'train',
        'phase': 'train',
        'dataroot_blur': str(make_pictures('blur', [f'b{i}/{i}.png' for i in range(5)], seed=1)),
        'dataroot_sharp': str(make_pictures('sharp', [f's/{i}.png' for i in range(3)], seed=2)),
        'synth_known_opt': {'length': [5, 9]},
        'io_backend': {'type': 'disk'},
        'gt_size': 32,
        'batch_size_per_gpu': 2,
    }


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) if isinstance(value, torch.Tensor) else value == second[key]
        for key, value in first.items()
    )


def test_sample_with_synthetic_known_blur(options: dict[str, Any]) -> None:
    dataset = build_dataset(options)
    assert len(dataset) == 5
    sample = dataset[3]
    assert set(sample) == {'lq', 'lq_path', 'sharp', 'sharp_path', 'known', 'known_path', *NOTES}
    for name in ('lq', 'sharp', 'known'):
        assert sample[name].shape == (3, 32, 32)
        assert sample[name].dtype == torch.float32
        assert 0 <= sample[name].min() <= sample[name].max() <= 1
    assert sample['lq_path'].endswith('b3/3.png')
    assert sample['known_path'] == sample['sharp_path']


def test_synthetic_known_is_the_sharp_crop_blurred(options: dict[str, Any]) -> None:
    options['synth_known_opt'] = {'length': [0, 0]}
    sample = UnpairedBlurDataset(options)[0]
    torch.testing.assert_close(sample['known'], sample['sharp'], atol=1e-5, rtol=0)
    options['synth_known_opt'] = {'length': [9, 9]}
    sample = UnpairedBlurDataset(options)[0]
    variation = {name: sample[name].diff(dim=-1).abs().mean() for name in ('sharp', 'known')}
    assert variation['known'] < variation['sharp']


def test_ready_made_known(options: dict[str, Any], make_pictures: MakePictures) -> None:
    del options['synth_known_opt'], options['dataroot_sharp']
    options['dataroot_known'] = str(make_pictures('known', ['0.png', '1.png']))
    sample = UnpairedBlurDataset(options)[0]
    assert set(sample) == {'lq', 'lq_path', 'known', 'known_path', *NOTES}


def test_known_pairs_share_place_turn_and_colours(options: dict[str, Any], make_pictures: MakePictures) -> None:
    del options['synth_known_opt']
    names = ['a/0.png', 'b/0.png']
    # The same pictures on both sides: then the crops must be equal, whatever was drawn.
    options['dataroot_known_blur'] = str(make_pictures('known_blur', names, size=(60, 50), seed=7))
    options['dataroot_known_sharp'] = str(make_pictures('known_sharp', names, size=(60, 50), seed=7))
    options['augment_opt'] = {'gamma': [0.5, 2], 'channel_shuffle': True}
    options['use_rot'] = True
    dataset = UnpairedBlurDataset(options)
    samples = [dataset[SampleKey(0, 0, 0, position)] for position in range(6)]
    pictures = {f'{n}{p}' for n in ('lq', 'sharp', 'known_blur', 'known_sharp') for p in ('', '_path')}
    assert set(samples[0]) == pictures | {*NOTES}
    assert all(torch.equal(sample['known_blur'], sample['known_sharp']) for sample in samples)
    assert len({sample['known_blur'].numpy().tobytes() for sample in samples}) == 6


def test_pairs_stay_at_native_size_and_the_rest_is_resized(
    options: dict[str, Any], make_pictures: MakePictures
) -> None:
    flat = Image.new('RGB', (40, 40), (10, 20, 30))
    root = make_pictures('known_blur', ['0.png'])
    flat.save(root / '0.png')
    options['dataroot_known_blur'] = options['dataroot_known_sharp'] = str(root)
    del options['synth_known_opt']
    options['resize'] = 96
    sizes = []
    original = Image.Image.resize

    def spy(self: Image.Image, *args: Any, **kwargs: Any) -> Image.Image:
        sizes.append(self.size)
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, 'resize', spy)
        UnpairedBlurDataset(options)[0]
    assert sizes == [(48, 40), (48, 40)]


@pytest.mark.parametrize(('ratio', 'blur', 'sharp'), [(None, 10, 10), (0.6, 6, 4), (0.25, 2, 8), (0.99, 9, 1)])
def test_ratio_splits_one_list(
    options: dict[str, Any], make_pictures: MakePictures, ratio: float | None, blur: int, sharp: int
) -> None:
    root = str(make_pictures('one', [f'{i}.png' for i in range(10)]))
    options |= {'dataroot_blur': root, 'dataroot_sharp': root, 'ratio': ratio}
    dataset = UnpairedBlurDataset(options)
    assert dataset.sharp is not None
    assert (len(dataset.blur), len(dataset.sharp)) == (blur, sharp)
    if ratio is not None:
        assert not set(dataset.blur.names) & set(dataset.sharp.names)
        assert dataset.blur.names + dataset.sharp.names == [f'{i}.png' for i in range(10)]


def test_ratio_that_leaves_nothing(options: dict[str, Any]) -> None:
    options['ratio'] = 0.1
    with pytest.raises(UserError, match=r'ratio: 0\.1 of 5 pictures leaves none in dataroot_blur'):
        UnpairedBlurDataset(options)


def test_samples_do_not_hang_on_workers(options: dict[str, Any]) -> None:
    options['augment_opt'] = {'scale': [0.9, 1.5], 'gamma': [0.5, 2], 'contrast': [0.5, 2], 'channel_shuffle': True}

    def epoch(workers: int) -> list[dict[str, Any]]:
        np.random.seed(workers)
        torch.manual_seed(workers)
        dataset = UnpairedBlurDataset(options)
        sampler = PositionedSampler(dataset, 1, 0, 2, seed=5)
        sampler.set_epoch(3)
        return list(DataLoader(dataset, sampler=sampler, num_workers=workers))

    alone, shared = epoch(0), epoch(2)
    assert len(alone) == 10
    assert all(_same(first, second) for first, second in zip(alone, shared, strict=True))


def test_samples_hang_on_seed_epoch_and_position(options: dict[str, Any]) -> None:
    dataset = UnpairedBlurDataset(options)
    key = SampleKey(picture=2, seed=1, epoch=1, position=1)
    assert _same(dataset[key], dataset[key])
    for other in (key._replace(seed=2), key._replace(epoch=2), key._replace(position=2)):
        assert not torch.equal(dataset[key]['lq'], dataset[other]['lq'])


def test_turns_reach_all_orientations(options: dict[str, Any], make_pictures: MakePictures) -> None:
    root = make_pictures('blur', ['0.png'], size=(32, 32))
    for name in ['b0', 'b1', 'b2', 'b3', 'b4']:
        (root / name / f'{name[1]}.png').unlink()
    options['use_rot'] = True
    dataset = UnpairedBlurDataset(options)
    seen = {dataset[SampleKey(0, 0, 0, position)]['lq'].numpy().tobytes() for position in range(100)}
    assert len(seen) == 8


def test_small_picture_is_not_enlarged_in_silence_but_scale_keeps_to_what_fits(options: dict[str, Any]) -> None:
    options |= {'gt_size': 40, 'augment_opt': {'scale': [0.2, 0.5]}}
    assert UnpairedBlurDataset(options)[0]['lq'].shape == (3, 40, 40)
    options['gt_size'] = 44
    dataset = UnpairedBlurDataset(options)
    with pytest.raises(UserError, match=r'measures 48x40, smaller than the crop, gt_size 44'):
        dataset.check_pictures()
    with pytest.raises(UserError, match=r'0\.png measures 48x40'):
        dataset[0]


def test_check_pictures_reads_all_headers_and_decodes_some(options: dict[str, Any]) -> None:
    dataset = UnpairedBlurDataset(options)
    dataset.check_pictures()
    broken = Path(options['dataroot_sharp'], 's', '1.png')
    broken.write_bytes(broken.read_bytes()[:-60])
    with pytest.raises(UserError, match=r'dataroot_sharp: .*1\.png cannot be read'):
        dataset.check_pictures()


def test_lmdb_gives_the_same_samples_through_workers(options: dict[str, Any]) -> None:
    from basicsr.utils.lmdb_util import make_lmdb_from_imgs

    plain = UnpairedBlurDataset(options)
    for source in (plain.blur, plain.sharp):
        assert source is not None
        keys = [name.removesuffix('.png') for name in source.names]
        make_lmdb_from_imgs(str(source.root), f'{source.root}.lmdb', source.names, keys)
    packed = {key: f'{options[key]}.lmdb' for key in ('dataroot_blur', 'dataroot_sharp')}
    dataset = UnpairedBlurDataset({**options, **packed, 'io_backend': {'type': 'lmdb'}})
    dataset.check_pictures()
    assert _same({'lq': dataset[1]['lq']}, {'lq': plain[1]['lq']})
    sampler = PositionedSampler(dataset, 1, 0, seed=0)
    for sample in DataLoader(dataset, sampler=sampler, num_workers=2, batch_size=1):
        assert sample['lq_path'][0].startswith(packed['dataroot_blur'])
    loaded = list(DataLoader(dataset, sampler=sampler, num_workers=2, batch_size=None))
    assert all(_same(sample, dataset[key]) for sample, key in zip(loaded, sampler, strict=True))


def test_b_and_s_can_be_shares_of_one_lmdb(options: dict[str, Any], make_pictures: MakePictures) -> None:
    from basicsr.utils.lmdb_util import make_lmdb_from_imgs

    root = make_pictures('one', [f'{i}.png' for i in range(4)])
    make_lmdb_from_imgs(str(root), f'{root}.lmdb', [f'{i}.png' for i in range(4)], [str(i) for i in range(4)])
    options |= {'dataroot_blur': f'{root}.lmdb', 'dataroot_sharp': f'{root}.lmdb', 'ratio': 0.5}
    dataset = UnpairedBlurDataset({**options, 'io_backend': {'type': 'lmdb'}})
    sample = dataset[1]
    assert sample['lq_path'].endswith('one.lmdb/1')
    assert sample['sharp_path'].endswith(('one.lmdb/2', 'one.lmdb/3'))


def test_augmentation_can_be_turned_off_from_the_command_line(options: dict[str, Any]) -> None:
    """``--force_yml datasets:train:augment_opt=~`` gives ``None``."""
    assert _same(UnpairedBlurDataset({**options, 'augment_opt': None})[0], UnpairedBlurDataset(options)[0])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'synth_known_opt': None}, 'exactly one source of the known blur K .* found none'),
        ({'dataroot_known': 'x'}, 'exactly one source .* found 2: dataroot_known and synth_known_opt'),
        ({'frame_mean_opt': {}}, 'exactly one source .* found 2: synth_known_opt and frame_mean_opt'),
        ({'synth_known_opt': None, 'dataroot_sharp': None, 'frame_mean_opt': {}}, 'dataroot_sharp: missing; K'),
        ({'synth_known_opt': None, 'dataroot_known_blur': 'x'}, 'go together'),
        ({'dataroot_sharp': None}, 'datasets:train:dataroot_sharp: missing; K is made from S'),
        ({'gt_size': 30}, 'gt_size: 30: must be a multiple of 4'),
        ({'resize': 16}, 'datasets:train:resize: 16 is smaller than the crop'),
        ({'use_hflp': True}, r'use_hflp: unknown key; did you mean use_hflip\?'),
        ({'ratio': 1.0}, 'ratio: 1.0: .*less than 1'),
        ({'use_rot': 1}, 'use_rot: 1: must be true or false'),
    ],
)
def test_wrong_options_name_key_and_mend(options: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        UnpairedBlurDataset({**options, **change})
    assert '\n' not in str(error.value)
