"""What a training step of Blur2Blur costs: the published networks, in several forms."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from b2b_basicsr.archs.kernel_wizard_arch import KernelWizard
from b2b_basicsr.bench.device_rates import start_convolutions, start_matrix_product
from b2b_basicsr.bench.plain_step import PLAIN_OPTIMIZER, PlainFusion, plain_step
from b2b_basicsr.bench.timing_table import Table, Value
from b2b_basicsr.bench.turns import Form, Measured, Turn, run_in_turns
from b2b_basicsr.errors import UserError
from b2b_basicsr.info.part_counter import PartCounter
from b2b_basicsr.models.blur2blur_model import Blur2BlurModel

Options = dict[str, Any]

PLAIN = 'plain'
FORMS: dict[str, Options] = {
    PLAIN: {'channels_last': False},
    'tf32': {'channels_last': False},
    'fp32': {},
    'fp32-compile': {'compile': True},
    'bf16': {'amp': 'bf16'},
    'bf16-compile': {'amp': 'bf16', 'compile': True},
    'fp16': {'amp': 'fp16'},
    'fp16-compile': {'amp': 'fp16', 'compile': True},
    'fp32-accum': {'accum_iter': 2},
    'bf16-accum': {'amp': 'bf16', 'accum_iter': 2},
}
"""Name -> the options of ``train`` that make it; ``plain`` and ``tf32`` are :mod:`plain_step`'s."""

DEFAULT_FORMS = {
    'cpu': (PLAIN, 'fp32', 'bf16'),
    'cuda': (PLAIN, 'tf32', 'fp32', 'fp32-compile', 'bf16', 'bf16-compile', 'fp16'),
}

_STEPS_A_TURN_ON_GPU = 4
_CONVOLUTIONS, _PRODUCT = 'convolutions ', 'matrix product '

_LAYER_WEIGHTS = {'relu2_2': 1 / 32, 'relu3_3': 1 / 16, 'relu4_1': 1 / 8, 'relu4_3': 1 / 4, 'conv5_1': 1.0}


@dataclass(frozen=True)
class TrainBench:
    """What is measured.

    Args:
        forms: names of :data:`FORMS`.
        batch: pictures a step.
        crop: side of the pictures in pixels.
        device: ``'cpu'`` or ``'cuda'``.
        tiny: narrow networks, to try the command out.
    """

    forms: tuple[str, ...]
    batch: int = 1
    crop: int = 256
    device: str = 'cpu'
    tiny: bool = False

    def __post_init__(self) -> None:
        for form in self.forms:
            if form not in FORMS:
                raise UserError(f'--forms: {form!r} is unknown; known are {", ".join(FORMS)}')
            if form == 'tf32' and self.device != 'cuda':
                raise UserError('--forms: tf32 is of CUDA alone; leave it out')
            parts = FORMS[form].get('accum_iter', 1)
            if self.batch % parts:
                raise UserError(f'--forms: {form} halves the batch, but --batch is {self.batch}; give an even one')

    def measure(self, rounds: int, progress: bool = True) -> list[Table]:
        """Runs the forms in turn.

        Returns:
            A table of the forms, and one of what the device can do.
        """
        flops = self.batch * flops_of_a_picture(self)
        precisions = tuple(dict.fromkeys(_precision_of(name) for name in self.forms))
        forms = [Form(name, _start, (name, self)) for name in self.forms]
        for precision in precisions:
            convolutions = (self.device, precision, self.batch, self.crop, flops)
            forms.append(Form(f'{_CONVOLUTIONS}{precision}', start_convolutions, convolutions))
            if self.device == 'cuda':
                forms.append(Form(f'{_PRODUCT}{precision}', start_matrix_product, (self.device, precision, flops)))
        measured = {found.name: found for found in run_in_turns(forms, rounds, warmup=2, progress=progress)}
        return [self._table_of_steps(measured, flops), _table_of_rates(measured, precisions, flops)]

    def _table_of_steps(self, measured: Mapping[str, Measured], flops: float) -> Table:
        plain = measured.get(PLAIN)
        rows: list[dict[str, Value]] = []
        for name in self.forms:
            found, floor = measured[name], measured[_CONVOLUTIONS + _precision_of(name)]
            row: dict[str, Value] = {
                'form': name,
                's/step': found.median,
                'spread %': 100 * found.spread,
                'x plain': None if plain is None else found.times_faster_than(plain),
                'pictures/s': self.batch / found.median,
                'peak GB': None if found.peak_bytes is None else found.peak_bytes / 1e9,
                'floor s': floor.median,
                '% of floor': 100 * found.times_faster_than(floor),
            }
            if self.device == 'cuda':
                row['% of peak'] = 100 * found.times_faster_than(measured[_PRODUCT + _precision_of(name)])
            rows.append(row if found.failure is None else {'form': f'{name}: {found.failure}'})
        names = 'narrow networks' if self.tiny else 'MIMO-UNet, PatchGAN, VGG16, KernelWizard'
        where = f'batch {self.batch}, crop {self.crop}, {self.device}'
        return Table(f'A training step: {names}, {where}, {flops / 1e9:.0f} GFLOP', rows)


def _table_of_rates(measured: Mapping[str, Measured], precisions: Sequence[str], flops: float) -> Table:
    rows: list[dict[str, Value]] = []
    for precision in precisions:
        row: dict[str, Value] = {'precision': precision}
        for prefix, column in ((_CONVOLUTIONS, '3x3 convolutions, TFLOP/s'), (_PRODUCT, 'matrix product, TFLOP/s')):
            if prefix + precision in measured:
                row[column] = flops / measured[prefix + precision].median / 1e12
        rows.append(row)
    return Table("What the device reaches: the floor is the step's operations at the speed of the convolutions", rows)


def _precision_of(form: str) -> str:
    precision = form.partition('-')[0]
    return 'fp32' if precision == PLAIN else precision


def _start(form: str, bench: TrainBench) -> Turn:
    """A form's model, ready to step."""
    torch.backends.cuda.matmul.allow_tf32 = form == 'tf32'
    # Torch's default, which the penalty of the forms in 16 bits has in a real training, too.
    torch.backends.cudnn.allow_tf32 = _precision_of(form) != 'fp32'
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    is_plain = form in (PLAIN, 'tf32')
    model = bench_model(bench, FORMS[form], is_plain)
    batch = bench_batch(bench)
    if bench.device == 'cuda':
        batch = {name: picture.pin_memory() for name, picture in batch.items()}
    taken = 0

    def step() -> None:
        nonlocal taken
        taken += 1
        if is_plain:
            plain_step(model, batch)
        else:
            model.feed_data(batch)
            model.optimize_parameters(taken)

    def turn_on_gpu() -> float:
        # Between turns the memory is the others', and the first step takes it anew.
        step()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        for _ in range(_STEPS_A_TURN_ON_GPU):
            step()
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / _STEPS_A_TURN_ON_GPU

    return turn_on_gpu if bench.device == 'cuda' else step


def bench_batch(bench: TrainBench) -> dict[str, Tensor]:
    """A batch with known pairs, as the data set gives it: noise."""
    shape = (bench.batch, 3, bench.crop, bench.crop)
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(shape, generator=generator) for name in ('lq', 'sharp', 'known_blur', 'known_sharp')}


def bench_model(bench: TrainBench, train_options: Options, is_plain: bool) -> Blur2BlurModel:
    """The model that the option file ``b2b_rb2v.yml`` makes, with weights drawn at random.

    Args:
        bench: batch, device and width.
        train_options: beside those of all forms.
        is_plain: with what :mod:`plain_step` needs.
    """
    adam = {'type': 'Adam', 'lr': 2e-4, 'betas': [0.5, 0.999], **(PLAIN_OPTIMIZER if is_plain else {})}
    kernel: Options = {'nf': 16, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 16, 'n_blocks': 2} if bench.tiny else {}
    with tempfile.TemporaryDirectory(prefix='b2b_bench_') as folder:
        kernel_file, vgg_file = Path(folder, 'kernel.pth'), Path(folder, 'vgg16.pth')
        torch.save(KernelWizard(**kernel).state_dict(), kernel_file)
        torch.save({f'features.{key}': value for key, value in make_layers(cfgs['D']).state_dict().items()}, vgg_file)
        model = Blur2BlurModel(
            {
                'name': 'bench',
                'model_type': 'Blur2BlurModel',
                'num_gpu': 0 if bench.device == 'cpu' else 1,
                'is_train': True,
                'dist': False,
                'rank': 0,
                'world_size': 1,
                'manual_seed': 0,
                'datasets': {'train': {'dataroot_known_blur': folder}},
                'path': {'pretrain_network_k': str(kernel_file)},
                'network_g': {'type': 'MIMOUNet', **({'num_res': 1, 'base_channel': 8} if bench.tiny else {})},
                'network_d': {'type': 'PatchGANDiscriminator', **({'num_feat': 8} if bench.tiny else {})},
                'network_k': {'type': 'KernelWizard', **kernel},
                'train': {
                    'ema_decay': 0,
                    'optim_g': dict(adam),
                    'optim_d': dict(adam),
                    'scheduler': {'type': 'LinearDecayLR', 'start': 1},
                    'total_iter': 1000,
                    'perceptual_opt': {
                        'type': 'PerceptualLoss',
                        'layer_weights': _LAYER_WEIGHTS,
                        'vgg_type': 'vgg16',
                        'use_input_norm': False,
                        'perceptual_weight': 0.8,
                        'criterion': 'l1',
                    },
                    'vgg_weights': str(vgg_file),
                    'gan_opt': {'type': 'GANLoss', 'gan_type': 'hinge', 'loss_weight': 1.0},
                    'gp_opt': {'weight': 1e-4},
                    'channels_last': True,
                    **train_options,
                },
            }
        )
    if is_plain:
        net_g: Any = model.net_g
        net_g.AFFs = nn.ModuleList(PlainFusion(fusion) for fusion in net_g.AFFs)
    return model


def flops_of_a_picture(bench: TrainBench) -> float:
    """Floating-point operations of a plain step with one picture, counted by torch: convolutions, matrix products."""
    alone = replace(bench, forms=(PLAIN,), batch=1, device='cpu')
    model, batch = bench_model(alone, FORMS[PLAIN], is_plain=True), bench_batch(alone)
    with PartCounter({}) as counter:
        plain_step(model, batch)
    return 2.0 * counter.counts.total()
