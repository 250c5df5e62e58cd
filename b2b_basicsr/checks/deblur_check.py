"""What is wrong with an option file of DeblurModel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from b2b_basicsr.checks.network_check import build_without_numbers, check_translator, check_weights
from b2b_basicsr.checks.training_check import check_logger, check_loss, check_optimisation, check_sides
from b2b_basicsr.checks.validation_check import check_validation
from b2b_basicsr.errors import UserError
from b2b_basicsr.models.deblur_model import COMPARISON
from b2b_basicsr.models.deblur_options import DeblurTrainOptions
from b2b_basicsr.models.progressive_patches import PatchStage
from b2b_basicsr.models.val_options import RestorationValOptions

_LOSSES = ('pixel_opt', 'perceptual_opt')


def check_deblur(opt: dict[str, Any]) -> None:
    """Checks sections, the network, its weights, patches, losses and metrics.

    Raises:
        UserError: for the first thing that the user has to mend.
    """
    check_validation(opt, RestorationValOptions, COMPARISON)
    if not opt.get('network_g'):
        raise UserError('network_g: missing; DeblurModel needs it')
    net = build_without_numbers(opt, 'network_g')
    check_weights(opt, 'network_g', net, None if opt['is_train'] else 'a test needs them')
    if not opt['is_train']:
        return
    check_logger(opt)
    settings = DeblurTrainOptions.from_options('train', opt['train'])
    section = opt['datasets'].get('train') or {}
    if not section.get('dataroot_gt') or not section.get('dataroot_lq'):
        raise UserError('datasets:train: DeblurModel needs pairs: dataroot_lq (blurry) and dataroot_gt (sharp)')
    _check_stages(settings.progressive_patches, section)
    check_optimisation(opt, ('optim_g',))
    for name in _LOSSES:
        check_loss(opt, name)
    crop = section.get('gt_size')
    sides = {stage.gt_size for stage in settings.progressive_patches}
    if not sides and isinstance(crop, int):  # of a wrong gt_size the data set's own check says what is wrong
        sides = {crop}
    for side in sorted(sides):
        outputs = check_translator('network_g', net, side, 'a deblurrer')
        for name in _LOSSES:
            check_sides(opt, name, outputs)


def _check_stages(stages: Sequence[PatchStage], section: Mapping[str, Any]) -> None:
    """The loader's crop and batch must be the largest, as patches and batches are cut from them."""
    for name in ('gt_size', 'batch_size_per_gpu') if stages else ():
        wanted, loaded = max(getattr(stage, name) for stage in stages), section.get(name)
        if loaded != wanted:
            raise UserError(
                f'datasets:train:{name}: {loaded!r}, and the largest of train:progressive_patches is {wanted}; '
                'stages are cut from what is loaded: make them equal'
            )
