"""How precise is the gradient penalty? Its value and its gradient by D's weights, against those in float64.

    python benchmarks/penalty_precision.py

D is PatchGAN of published size, as it starts and after 30 steps in which it learned to tell photographs of scikit-image
from blurred ones. In training the penalty is computed as in the rows "float32" (on CUDA torch's default, "TF32", counts
for its convolutions); "bf16 autocast" is what it would be otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import basicsr  # noqa: F401  (first, and whole: importing it imports all of ours)
import click
import torch
from skimage import data
from torch import Tensor, nn
from torch.nn import functional as F

from b2b_basicsr.archs.patchgan_arch import PatchGANDiscriminator
from b2b_basicsr.bench.timing_table import Table, Value, print_tables
from b2b_basicsr.losses.gradient_penalty import gradient_penalty

SIDE = 128
STEPS = (0, 30)
DRAWS = 4


def crops(generator: torch.Generator) -> Tensor:
    """Two random crops of photographs, [2, 3, SIDE, SIDE] in [0, 1]."""
    found = []
    for _ in range(2):
        photograph = (data.astronaut, data.chelsea, data.coffee, data.rocket)[_below(4, generator)]()[..., :3]
        top, left = (_below(length - SIDE, generator) for length in photograph.shape[:2])
        found.append(torch.from_numpy(photograph[top : top + SIDE, left : left + SIDE].copy()).permute(2, 0, 1))
    return torch.stack(found).float() / 255


def _below(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))


def blurred(pictures: Tensor) -> Tensor:
    """By a box of five pixels."""
    return F.avg_pool2d(pictures, 5, stride=1, padding=2)


def train(net_d: nn.Module, steps: int, generator: torch.Generator) -> None:
    """Hinge loss, the settings of our option files."""
    optimizer = torch.optim.Adam(net_d.parameters(), 2e-4, betas=(0.5, 0.999))
    for _ in range(steps):
        real, fake = net_d(crops(generator)), net_d(blurred(crops(generator)))
        loss = (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@contextmanager
def computing(way: str) -> Iterator[None]:
    """In one of the ways of the table."""
    kept = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = way == 'TF32'
    try:
        with torch.autocast('cuda' if torch.cuda.is_available() else 'cpu', torch.bfloat16, enabled='bf16' in way):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = kept


def penalty_and_gradient(net_d: nn.Module, way: str, real: Tensor, fake: Tensor, alpha: Tensor) -> tuple[float, Tensor]:
    """The penalty, and its gradient by all of D's weights, in float64."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    kind = torch.float64 if way == 'float64' else torch.float32
    net_d = deepcopy(net_d).to(device, kind)
    with computing(way):
        value = gradient_penalty(net_d, *(tensor.to(device, kind) for tensor in (real, fake, alpha)))
        value.backward()
    gradients = [weight.grad.flatten() for weight in net_d.parameters() if weight.grad is not None]
    return float(value.detach()), torch.cat(gradients).double().cpu()


@click.command()
@click.option('--json', 'as_json', is_flag=True, help='Print everything again as JSON, on the last line.')
def main(as_json: bool) -> None:
    """Measures and prints."""
    ways = ['float32', 'TF32', 'bf16 autocast'] if torch.cuda.is_available() else ['float32', 'bf16 autocast']
    rows: list[dict[str, Value]] = []
    for steps in STEPS:
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(0)
        net_d = PatchGANDiscriminator()
        train(net_d, steps, generator)
        errors: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(DRAWS):
            batch = crops(generator), blurred(crops(generator)), torch.rand(2, 1, 1, 1, generator=generator)
            wanted, gradient = penalty_and_gradient(net_d, 'float64', *batch)
            for way in ways:
                value, found = penalty_and_gradient(net_d, way, *batch)
                errors[way].append((abs(value / wanted - 1), float((found - gradient).norm() / gradient.norm())))
        for way, of_way in errors.items():
            most = [100 * max(column) for column in zip(*of_way, strict=True)]
            rows.append({'D after steps': steps, 'way': way, 'penalty, % off': most[0], 'gradient, % off': most[1]})
    print_tables(
        'The gradient penalty, against float64',
        [Table(f'The most of {DRAWS} batches; of the gradient, the L2 norm of the difference', rows)],
        as_json,
    )


if __name__ == '__main__':
    main()
