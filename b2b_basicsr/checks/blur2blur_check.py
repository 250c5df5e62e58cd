"""What is wrong with an option file of Blur2BlurModel."""

from __future__ import annotations

from typing import Any

from b2b_basicsr.archs.kernel_wizard_arch import KernelWizard
from b2b_basicsr.checks.network_check import build_without_numbers, check_discriminator, check_translator, check_weights
from b2b_basicsr.checks.training_check import check_logger, check_loss, check_optimisation, check_sides
from b2b_basicsr.checks.validation_check import check_validation
from b2b_basicsr.errors import UserError
from b2b_basicsr.models.blur2blur_model import WITH_DEBLURRER, WITHOUT_DEBLURRER
from b2b_basicsr.models.blur2blur_options import TrainOptions, frozen_sections
from b2b_basicsr.models.output_scales import check_scales
from b2b_basicsr.models.val_options import RestorationValOptions

_LOSSES_OF_PICTURES = ('perceptual_opt', 'pixel_opt', 'lpips_opt', 'identity_opt')


def check_blur2blur(opt: dict[str, Any]) -> None:
    """Checks sections, networks, weights, losses and metrics.

    Raises:
        UserError: for the first thing that the user has to mend.
    """
    check_validation(opt, RestorationValOptions, WITH_DEBLURRER if opt.get('network_deblur') else WITHOUT_DEBLURRER)
    if opt['is_train']:
        check_logger(opt)
        parts = TrainOptions.from_options('train', opt['train']).accum_iter
        found = opt['datasets'].get('train', {}).get('type')
        if found != 'UnpairedBlurDataset':
            raise UserError(f'datasets:train:type: {found!r}; Blur2BlurModel trains on type: UnpairedBlurDataset')
        batch = opt['datasets']['train'].get('batch_size_per_gpu')
        if isinstance(batch, int) and batch % parts:
            raise UserError(
                f'train:accum_iter: {parts} does not divide batch_size_per_gpu, {batch}; the parts must be of one size'
            )
        check_optimisation(opt, ('optim_g', 'optim_d'))
        for name in (*_LOSSES_OF_PICTURES, 'gan_opt'):
            check_loss(opt, name)
    _check_networks(opt)


def _judged(sides: list[int], scales: int | None) -> list[int]:
    """Of the sides of G's outputs those of the outputs that count; none where none are known."""
    if sides:
        check_scales(scales, len(sides))
    return sides if scales is None else sides[-scales:]


def _check_networks(opt: dict[str, Any]) -> None:
    trained = ['network_g', 'network_d'] if opt['is_train'] else ['network_g']
    frozen = [name for name in frozen_sections(opt) if opt['is_train'] or name != 'network_k']
    for name in trained:
        if not opt.get(name):
            raise UserError(f'{name}: missing; Blur2BlurModel needs it')
    sides: list[int] = []
    for name in [*trained, *frozen]:
        net = build_without_numbers(opt, name)
        if name in frozen:
            check_weights(opt, name, net, 'it is frozen, and useless untrained')
        else:
            check_weights(opt, name, net, None if opt['is_train'] else 'a test needs them')
            crop = opt['datasets'].get('train', {}).get('gt_size', 256)
            if not opt['is_train'] or not isinstance(crop, int):
                continue  # of a wrong gt_size the data set's own check says what is wrong
            if name == 'network_g':
                sides = _judged(check_translator(name, net, crop), opt['train'].get('scales'))
                for loss in _LOSSES_OF_PICTURES:
                    check_sides(opt, loss, sides)
            else:
                check_discriminator(name, net, crop, sides)
        if name == 'network_k' and not isinstance(net, KernelWizard) and not callable(getattr(net, 'transfer', None)):
            raise UserError(f'network_k:type: {type(net).__name__} carries no blur over; use type: KernelWizard')
    if opt['is_train']:
        train = opt['datasets'].get('train', {})
        with_pairs = train.get('dataroot_known_blur') is not None
        if with_pairs and 'network_k' not in frozen:
            raise UserError(
                'network_k: missing; it carries the blur of known pairs (dataroot_known_blur, dataroot_known_sharp) '
                'over to S. Or take another source of K; docs/known_blur.md sets them side by side'
            )
