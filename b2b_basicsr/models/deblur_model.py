"""Training and validation of a deblurring network on pairs, on BasicSR's model for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor, nn

from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.vgg_weights import vgg_weights
from b2b_basicsr.models.deblur_options import DeblurTrainOptions
from b2b_basicsr.models.finite_steps import FiniteSteps
from b2b_basicsr.models.lr_scheduler import Schedules
from b2b_basicsr.models.mixup import mixed
from b2b_basicsr.models.optimizers import Optimizers
from b2b_basicsr.models.output_scales import as_scales, resized_like, summed_loss
from b2b_basicsr.models.progressive_patches import cut_to_stage, stage_at
from b2b_basicsr.models.replaced_pictures import ReplacedPictures
from b2b_basicsr.models.restoration_validation import RestorationValidation
from b2b_basicsr.models.shared_validation import Pictures, Validation
from b2b_basicsr.records.picture_scores import ScoredPicture
from b2b_basicsr.records.score_names import BLURRY, Comparison

COMPARISON = Comparison((BLURRY,), gain_over=BLURRY)


@MODEL_REGISTRY.register()
class DeblurModel(Optimizers, Schedules, FiniteSteps, ReplacedPictures, RestorationValidation, SRModel):
    """Trains a deblurring network on pairs: what BasicSR's ``SRModel`` does, and what the published ones need.

    AdamW; gradients clipped by their norm (``max_grad_norm``); patches that grow and batches that shrink
    (``progressive_patches``); mixed pairs (``mixup_opt``). Losses of a network with outputs of several sizes are added
    up over them, each against the sharp picture at that size; the last output is the result.

    A batch is any of BasicSR's paired sets: ``lq`` the blurry picture, ``gt`` its sharp twin.

    Validation scores the deblurred picture: ``psnr``, beside ``psnr_blurry``, the blurry picture's own, and their
    difference, ``gain``. Without ground truth it has the metrics that need none.

    Args:
        opt: a parsed option file of ``model_type: DeblurModel``; its keys stand in ``options/deblur_gopro_*.yml``.

    Raises:
        UserError: if weights belong to another network, or an option is wrong.
    """

    frozen_networks = ()

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__(opt)
        if opt.get('val'):
            self._init_restoration(COMPARISON)

    # ------------------------------------------------------------------------------------------------ training

    def init_training_settings(self) -> None:
        """EMA, losses, optimiser and schedule, by BasicSR; VGG's weights from where the option says."""
        self.train_settings = DeblurTrainOptions.from_options('train', self.opt['train'])
        with vgg_weights(self.train_settings.vgg_weights):
            super().init_training_settings()
        criteria = {'l_pix': self.cri_pix, 'l_percep': self.cri_perceptual}
        self.losses: dict[str, nn.Module] = {name: criterion for name, criterion in criteria.items() if criterion}
        for criterion in self.losses.values():
            self._frozen(criterion)
        first = 1
        for stage in self.train_settings.progressive_patches:
            get_root_logger().info(
                f'From iteration {first} on: patches of {stage.gt_size} pixels, batches of {stage.batch_size_per_gpu}.'
            )
            first += stage.iterations

    def feed_data(self, data: Mapping[str, Any]) -> None:
        """Takes a batch: ``lq`` blurry and, but for a test without ground truth, ``gt`` sharp, [n, 3, h, w] in [0, 1].

        Raises:
            UserError: if there is no ``gt`` to train with.
        """
        self._note_place(data)
        self._note_replaced(data)
        self.lq = self._to_device(data['lq'])
        if 'gt' in data:
            self.gt = self._to_device(data['gt'])

    def _training_pair(self, current_iter: int) -> tuple[Tensor, Tensor]:
        """The batch, cut to the stage's size and mixed, as the options say."""
        if not hasattr(self, 'gt'):
            raise UserError('datasets:train: a deblurrer needs pairs: a data set with dataroot_lq and dataroot_gt')
        pair = [self.lq, self.gt]
        settings = self.train_settings
        if settings.progressive_patches:
            pair = cut_to_stage(pair, stage_at(settings.progressive_patches, current_iter), self.generator)
        if settings.mixup_opt is not None:
            pair = mixed(pair, settings.mixup_opt, self.generator)
        lq, gt = (picture.contiguous(memory_format=self._memory_format) for picture in pair)
        return lq, gt

    def optimize_parameters(self, current_iter: int) -> None:
        """One step."""
        self.lq, self.gt = self._training_pair(current_iter)
        with self._guarded_step(current_iter) as step:
            self.optimizer_g.zero_grad(set_to_none=True)
            with self._autocast():
                outputs = as_scales(self.net_g(self.lq))
                targets = resized_like(self.gt, outputs)
                losses = OrderedDict(
                    (name, summed_loss(criterion, outputs, targets)) for name, criterion in self.losses.items()
                )
            self.output = outputs[-1].detach()
            self.scaler.scale(torch.stack(list(losses.values())).sum()).backward()
            self.scaler.unscale_(self.optimizer_g)
            if self.train_settings.max_grad_norm is not None:
                parameters = self.optimizer_g.param_groups[0]['params']
                losses['grad_norm'] = nn.utils.clip_grad_norm_(parameters, self.train_settings.max_grad_norm)
            self._update_g(step, losses)
        self._keep_losses(losses)

    # ------------------------------------------------------------------------------------------------ validation

    def _deblur(self, picture: Tensor) -> tuple[Tensor]:
        net = self.net_g_ema if hasattr(self, 'net_g_ema') else self.net_g
        return (as_scales(self._plain(net)(picture))[-1],)

    def test(self) -> None:
        """Deblurs ``lq``, by the EMA where there is one: sets ``output``."""
        self.net_g.eval()
        (self.output,) = self._whole_or_tiled(self._deblur, self.lq)
        self.net_g.train(self.is_train)

    def _validate(
        self, place: int, data: Mapping[str, Any], validation: Validation
    ) -> tuple[ScoredPicture, Pictures | None]:
        """Deblurred, blurry and gain."""
        name, files, gt = self._restored(data, validation)
        pictures = self._levels_of({'lq': self.lq, 'restored': self.output, 'gt': gt})
        sharp, baselines = pictures.get('gt'), (validation.name, place)
        if baselines not in self._baseline_scores:
            self._baseline_scores[baselines] = {BLURRY: self.scores.of(pictures['lq'], sharp, pictures['lq'])}
        restored = self.scores.of(pictures['restored'], sharp, pictures['lq'])
        values = self.scores.beside(restored, self._baseline_scores[baselines])
        if validation.saves:
            files['restored'] = self._saved_as(validation.name, name, validation.iteration)
            self._save_picture(pictures['restored'], files['restored'])
        return ScoredPicture(name, values, files), pictures if self._shows(place, validation) else None

    def get_current_visuals(self) -> OrderedDict[str, Tensor]:
        """``lq`` and ``result`` (deblurred) of the last picture, on the CPU."""
        named = {'lq': self.lq, 'result': self.output}
        return OrderedDict((name, tensor.detach().cpu()) for name, tensor in named.items())

    # ------------------------------------------------------------------------------------------------ files

    def save(self, epoch: int, current_iter: int) -> None:
        """The network with its EMA, and the state to resume from."""
        self._save_net_g(current_iter)
        self.save_training_state(epoch, current_iter)
