"""The option sections of KernelWizardModel."""

from __future__ import annotations

from b2b_basicsr.models.training_options import BaseTrainOptions, TypedSection, WeightOptions


class KernelTrainOptions(BaseTrainOptions):
    """``train``."""

    pixel_opt: TypedSection
    kl_opt: WeightOptions | None = None
