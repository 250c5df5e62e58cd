"""Blur2Blur's training step, written plainly: what the fast one is measured against, and must equal.

Every set of pictures goes through G, D and VGG by itself, scale after scale; features of several sizes are enlarged and
joined before they are fused; each weight is updated by itself. Frozen networks and targets need no gradients here,
either.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from b2b_basicsr.losses.gradient_penalty import gradient_penalty
from b2b_basicsr.models.blur2blur_model import Blur2BlurModel
from b2b_basicsr.models.output_scales import as_scales, resized_like

PLAIN_OPTIMIZER = {'fused': False, 'foreach': False}


class PlainFusion(nn.Module):
    """MIMO-UNet's fusion of its three encoder stages, as the paper draws it: resize, join, convolve.

    Args:
        fusion: of our MIMO-UNet; its convolutions are used.
    """

    def __init__(self, fusion: nn.Module) -> None:
        super().__init__()
        self.level = fusion.level
        self.conv = fusion.conv

    def forward(self, stages: list[Tensor]) -> Tensor:
        """As that of the fusion it stands for."""
        size = stages[int(self.level)].shape[-2:]  # type: ignore[arg-type]
        joined = torch.cat([F.interpolate(stage, size, mode='nearest') for stage in stages], dim=1)
        fused: Tensor = self.conv(joined)  # type: ignore[operator]
        return fused


def plain_step(model: Blur2BlurModel, batch: Mapping[str, Any]) -> OrderedDict[str, float]:
    """One step of D and of G, both optimisers included.

    Args:
        model: with its networks, losses and optimisers; its own step is not used.
        batch: as for ``feed_data``.

    Returns:
        The losses, by the names in which the model logs them.
    """
    model.feed_data(batch)
    net_g, net_d, lq, known = model.net_g, model.net_d, model.lq, model.known
    outputs = as_scales(net_g(lq))
    fakes = [output.detach() for output in outputs]

    net_d.requires_grad_(True)
    model.optimizer_d.zero_grad()
    real = torch.stack([model.cri_gan(net_d(picture), True, is_disc=True) for picture in resized_like(known, fakes)])
    fake = torch.stack([model.cri_gan(net_d(picture), False, is_disc=True) for picture in fakes])
    losses = OrderedDict(l_d_real=real.mean(), l_d_fake=fake.mean())
    total = (losses['l_d_real'] + losses['l_d_fake']) / 2
    if model.gp_weight > 0:
        alpha = torch.rand(len(known), 1, 1, 1, generator=model.generator).to(known.device)
        losses['l_d_gp'] = model.gp_weight * gradient_penalty(net_d, known, fakes[-1], alpha)
        total = total + losses['l_d_gp']
    total.backward()
    model.optimizer_d.step()

    net_d.requires_grad_(False)
    model.optimizer_g.zero_grad()
    losses['l_g_gan'] = torch.stack([model.cri_gan(net_d(output), True, is_disc=False) for output in outputs]).mean()
    total = losses['l_g_gan']
    for name, criterion in model.content_losses.items():
        losses[name] = torch.zeros((), device=lq.device)
        for output, target in zip(outputs, resized_like(lq, outputs), strict=True):
            found = criterion(output, target)
            terms = found if isinstance(found, tuple) else (found,)
            losses[name] = losses[name] + sum(term for term in terms if term is not None)
        total = total + losses[name]
    total.backward()
    model.optimizer_g.step()
    return OrderedDict((name, float(loss.detach())) for name, loss in losses.items())
