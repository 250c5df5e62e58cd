"""Sections against their types: ours strictly, others' for near misses; what nobody reads is one line of the log."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import basicsr.utils.options
import pytest
import torch
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY

from b2b_basicsr.checks.dataset_keys import KeysRead, keys_read_by
from b2b_basicsr.checks.section_check import check_sections
from b2b_basicsr.errors import OptionError
from b2b_basicsr.models.blur2blur_model import Blur2BlurModel
from b2b_basicsr.options.notes import taken_notes
from tests.checks.conftest import Options, changed, parse

Told = Callable[[Options], str]


@pytest.fixture(autouse=True)
def _no_notes() -> None:
    taken_notes()


@pytest.mark.parametrize(
    ('changes', 'key', 'message'),
    [
        ({'train__optim_g__fused': 'perhaps'}, 'fused: perhaps', "train:optim_g:fused: 'perhaps': must be true"),
        ({'train__optim_g__lr': '1e-4'}, 'lr: 1e-4', "train:optim_g:lr: '1e-4': must be a number (YAML reads"),
        ({'train__perceptual_opt__seed': -1}, 'seed: -1', 'train:perceptual_opt:seed: -1: must be greater'),
        ({'val__metrics__psnr__better': 'x'}, 'better: x', "val:metrics:psnr:better: 'x': must be 'higher'"),
        ({'dist_params': {'port': 0}}, 'port: 0', 'dist_params:port: 0: must be greater'),
        ({'datasets__val__pin_memori': True}, 'pin_memori:', 'datasets:val:pin_memori: unknown key; did'),
        ({'network_deblur__width': 0}, 'width: 0', 'network_deblur:width: 0: must be greater'),
        ({'train__total_iter': ...}, 'train:', 'train:total_iter: missing'),
    ],
)
def test_every_section_of_ours_is_strict_and_says_its_line(
    options: Options, told: Told, tmp_path: Path, changes: Options, key: str, message: str
) -> None:
    line = told(changed(options, **changes))
    found = re.match(rf'error: {re.escape(str(tmp_path))}/tiny\.yml:(\d+): (.*)', line)
    assert found is not None, line
    assert found[2].startswith(message), line
    assert key in (tmp_path / 'tiny.yml').read_text().splitlines()[int(found[1]) - 1]


def test_what_else_is_wrong_is_named(options: Options, told: Told) -> None:
    line = told(changed(options, train__emma_decay=1, train__optim_g__lr='x', val__val_freq=0))
    assert line.endswith(
        'train:emma_decay: unknown key; did you mean ema_decay?; and 2 more: train:optim_g:lr, val:val_freq'
    )


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'network_g': {'type': 'MSRResNet', 'num_fead': 4}}, 'network_g:num_fead: unknown key; did you mean num_'),
        ({'network_g': {'type': 'MSRResNet', 'zzz': 4}}, 'network_g:zzz: unknown key; known are num_block, num_feat, '),
        ({'network_g': {'type': 'MSRResNet', 'num_feat': '1e1'}}, "network_g:num_feat: '1e1': must be a number (YAML"),
        ({'train__pixel_opt': {'type': 'WeightedTVLoss', 'loss_wieght': 1}}, 'train:pixel_opt:loss_wieght: unknown'),
        ({'datasets__val': {'type': 'VideoTestDataset', 'dataroot_qt': 'x'}}, 'datasets:val:dataroot_qt: unknown'),
        ({'datasets__val__dataroot_ql': 'x'}, 'datasets:val:dataroot_ql: unknown key; did you mean dataroot_lq?'),
        ({'netwrok_g': {}}, 'netwrok_g: unknown key; did you mean network_g?'),
        ({'datasets__test_1': {}}, 'datasets:test_1: sections are named train, val, val_2 and so on'),
        ({'datasets__val__type': 'UnpairedBlurDataset'}, 'datasets:val:type: UnpairedBlurDataset is not for'),
    ],
)
def test_others_sections_are_checked_for_near_misses(
    options: Options, told: Told, changes: Options, message: str
) -> None:
    line = told(changed(options, **changes))
    assert f': {message}' in line, line


def test_keys_that_nobody_knows_are_lines_of_the_log(
    options: Options,
    write: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = changed(options, my_notes={'x': 1}, datasets__val__colour_of_the_bike='red')
    opt = parse(write(options), tmp_path)
    with caplog.at_level(logging.WARNING, 'basicsr'):
        monkeypatch.setattr(logging.getLogger('basicsr'), 'propagate', True)
        Blur2BlurModel({**opt, 'is_train': False, 'network_k': None})
    said = dict.fromkeys(record.getMessage() for record in caplog.records)
    assert [line for line in said if line.startswith('Option ')] == [
        'Option my_notes: nobody reads it; it is passed over.',
        'Option datasets:val:colour_of_the_bike: PairedImageDataset does not read it; it is passed over.',
    ]
    assert taken_notes() == []


class _TheirSet:
    def __init__(self, settings: Options) -> None:
        cfg = settings
        self.root = cfg['dataroot'], settings.get('num_frames')


class _TheirPlainSet:
    def __init__(self, settings: Options) -> None:
        self.opt = settings
        self.root = settings['dataroot'], 'flip' in self.opt, settings.get('num_frames', 3)


def test_what_a_class_hands_on_may_be_read() -> None:
    assert keys_read_by(_TheirSet) == KeysRead(frozenset({'num_frames'}), False)
    assert keys_read_by(_TheirPlainSet) == KeysRead(frozenset({'dataroot', 'flip', 'num_frames'}), True)
    paired = keys_read_by(PairedImageDataset)
    assert paired.are_all
    assert {'dataroot_lq', 'io_backend', 'gt_size', 'color', 'phase'} <= paired.keys


def _their_network(num_feat: int = 3, **others: Any) -> None:
    del num_feat, others


def test_keys_of_others_that_may_be_read_are_notes(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASET_REGISTRY._obj_map, 'TheirSet', _TheirSet)
    monkeypatch.setitem(ARCH_REGISTRY._obj_map, 'TheirNet', _their_network)
    section = {'type': 'TheirSet', 'dataroot': 'x', 'batch_sizes_per_gpu': 3}
    options = changed(options, datasets__val=section, network_g={'type': 'TheirNet', 'num_feats': 4})
    check_sections(options, True)
    assert taken_notes() == [
        'Option datasets:val:dataroot: TheirSet may not read it, and pass it over.',
        'Option datasets:val:batch_sizes_per_gpu: TheirSet may not read it, and pass it over.',
        'Option network_g:num_feats: TheirNet does not know it; it may pass it over.',
    ]


def test_what_basicsr_sets_is_noted(options: Options) -> None:
    backend = {'type': 'disk', 'client_keys': ['x']}
    check_sections(changed(options, rank=3, datasets__val__phase='foo', datasets__train__io_backend=backend), True)
    assert taken_notes() == [
        'Option rank: BasicSR sets it itself; it is passed over.',
        'Option datasets:train:io_backend:client_keys: BasicSR sets it itself; it is passed over.',
        'Option datasets:val:phase: BasicSR sets it itself; it is passed over.',
    ]


@pytest.mark.parametrize(
    'changes', [{'network_g__type': ['NAFNet']}, {'datasets__val__type': ['a']}, {'datasets__val__name': {'a': 1}}]
)
def test_odd_types_beside_somebody_elses_model(options: Options, told: Told, changes: Options) -> None:
    foreign = changed(options, model_type='SRModel', **changes)
    with contextlib.suppress(OptionError):
        check_sections(foreign, True)
    if 'datasets__val__name' in changes:
        assert ": datasets:val:name: {'a': 1}: must be a text" in told(foreign)


def test_a_key_that_stands_twice(
    options: Options, write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(options)
    path.write_text(path.read_text().replace('  total_iter: 5\n', '  total_iter: 5\n  total_iter: 6\n'))
    with pytest.raises(SystemExit):
        parse(path, tmp_path)
    said = re.search(r'tiny\.yml:(\d+): train:total_iter: is in line (\d+), too', capsys.readouterr().err)
    assert said is not None
    assert int(said[1]) == int(said[2]) + 1


def test_what_was_forced_says_so(
    options: Options,
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(options)
    arguments = ['train.py', '-opt', str(path), '--force_yml', 'train:optim_g:lr=5e-4']
    monkeypatch.setattr('sys.argv', arguments)
    with pytest.raises(SystemExit):
        basicsr.utils.options.parse_options(str(tmp_path), is_train=True)
    assert capsys.readouterr().err == (
        "error: --force_yml train:optim_g:lr=5e-4: train:optim_g:lr: '5e-4': must be a number (--force_yml reads 5e-4 "
        'as text: write 0.0005 or !!float 5e-4)\n'
    )


def test_a_test_reads_neither_train_nor_logger(options: Options, write: Callable[..., Path], tmp_path: Path) -> None:
    options['datasets'] = {'test_1': options['datasets']['val']}
    options['train'], options['logger'] = {'nonsense': 1}, 3
    from basicsr.archs import build_network

    torch.save({'params': build_network(deepcopy(options['network_g'])).state_dict()}, tmp_path / 'g.pth')
    options['path']['pretrain_network_g'] = str(tmp_path / 'g.pth')
    assert parse(write(options), tmp_path, is_train=False)['name'] == 'tiny'


def test_our_network_in_somebody_elses_file_is_ours(options: Options, told: Told) -> None:
    options |= {'model_type': 'SRModel', 'anything': {'goes': 1}}
    options['datasets'] = {'train': {'type': 'PairedImageDataset', 'name': 'x'}}
    options['train']['emma_decay'] = 0.9
    assert told(changed(options, network_g__num_re=1)).endswith('network_g:num_re: unknown key; did you mean num_res?')


def test_late_errors_say_the_line_too(options: Options, write: Callable[..., Path], tmp_path: Path) -> None:
    from b2b_basicsr.errors import UserError
    from b2b_basicsr.options.option_lines import late_error_placed

    path = write(options)
    parse(path, tmp_path)
    said: Any = str(late_error_placed(UserError('train:total_iter: is not what it was')))
    assert re.fullmatch(rf'{re.escape(str(path))}:\d+: train:total_iter: is not what it was', said)


def test_template_is_refused_with_its_line(options: Options, told: Told) -> None:
    line = told(changed(options, datasets__val__filename_tmpl='{x}'))
    assert re.search(r"tiny\.yml:\d+: datasets:val:filename_tmpl: '\{x\}': must hold \{\} once", line), line
