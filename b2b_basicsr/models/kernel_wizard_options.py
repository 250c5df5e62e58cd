"""The option sections of KernelWizardModel."""

from __future__ import annotations

from b2b_basicsr.models.training_options import BaseTrainOptions, LossSection, WeightOptions


class KernelTrainOptions(BaseTrainOptions):
    """``train``."""

    pixel_opt: LossSection
    """Loss of the re-blurred picture's pixels."""
    kl_opt: WeightOptions | None = None
    """Keeps the code near a standard normal distribution; with `network_g: use_vae` alone, which needs it."""
