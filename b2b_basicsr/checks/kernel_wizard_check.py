"""What is wrong with an option file of KernelWizardModel."""

from __future__ import annotations

from typing import Any

from b2b_basicsr.archs.kernel_wizard_arch import KernelWizard
from b2b_basicsr.checks.network_check import build_without_numbers, check_weights
from b2b_basicsr.checks.training_check import check_logger, check_loss, check_optimisation
from b2b_basicsr.checks.validation_check import check_validation
from b2b_basicsr.errors import UserError
from b2b_basicsr.models.kernel_wizard_model import COMPARISON
from b2b_basicsr.models.kernel_wizard_options import KernelTrainOptions
from b2b_basicsr.models.val_options import ValOptions


def check_kernel_wizard(opt: dict[str, Any]) -> None:
    """Checks sections, the network, its weights, loss and metrics.

    Raises:
        UserError: for the first thing that the user has to mend.
    """
    for phase, section in opt['datasets'].items():
        if not section.get('dataroot_gt') or not section.get('dataroot_lq'):
            raise UserError(
                f'datasets:{phase}: KernelWizardModel needs pairs: dataroot_lq (blurry) and dataroot_gt (sharp)'
            )
    check_validation(opt, ValOptions, COMPARISON)
    if not opt.get('network_g'):
        raise UserError('network_g: missing; KernelWizardModel needs it')
    net = build_without_numbers(opt, 'network_g')
    if not isinstance(net, KernelWizard):
        raise UserError(f'network_g:type: {type(net).__name__} has no kernel code; use type: KernelWizard')
    check_weights(opt, 'network_g', net, None if opt['is_train'] else 'a test needs them')
    if opt['is_train']:
        check_logger(opt)
        train = KernelTrainOptions.from_options('train', opt['train'])
        check_optimisation(opt, ('optim_g',))
        check_loss(opt, 'pixel_opt')
        if net.use_vae and train.kl_opt is None:
            raise UserError('train:kl_opt: missing; with use_vae the code needs it, as kl_opt: {weight: 1.0}')
        if train.kl_opt is not None and not net.use_vae:
            raise UserError(
                'train:kl_opt: without network_g:use_vae the code is no distribution; set use_vae, or no kl_opt'
            )
