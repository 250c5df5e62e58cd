"""Blur2Blur's training and validation, on BasicSR's GAN model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from basicsr.losses import build_loss
from basicsr.models.srgan_model import SRGANModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from b2b_basicsr.data.camera_shake import CameraShake
from b2b_basicsr.data.known_noise import KnownNoise
from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.gradient_penalty import gradient_penalty
from b2b_basicsr.losses.vgg_weights import vgg_weights
from b2b_basicsr.models.blur2blur_options import frozen_sections
from b2b_basicsr.models.finite_steps import FiniteSteps
from b2b_basicsr.models.frozen_network import frozen_network
from b2b_basicsr.models.lr_scheduler import Schedules
from b2b_basicsr.models.mean_losses import MeanLosses
from b2b_basicsr.models.optimizers import Optimizers
from b2b_basicsr.models.output_scales import as_scales, largest_scales, resized_like, summed_loss
from b2b_basicsr.models.random_state import RandomState
from b2b_basicsr.models.replaced_pictures import ReplacedPictures
from b2b_basicsr.models.restoration_validation import RestorationValidation
from b2b_basicsr.models.shared_validation import Pictures, Validation
from b2b_basicsr.records.picture_scores import ScoredPicture
from b2b_basicsr.records.score_names import BLURRY, DIRECT, Comparison

WITH_DEBLURRER = Comparison((BLURRY, DIRECT), gain_over=DIRECT)
WITHOUT_DEBLURRER = Comparison((BLURRY,))
"""G(x) has another blur, not less of it: there is no gain."""

_CONTENT_LOSSES = {'perceptual_opt': 'l_g_percep', 'pixel_opt': 'l_g_pix', 'lpips_opt': 'l_g_lpips'}


@MODEL_REGISTRY.register()
class Blur2BlurModel(Optimizers, Schedules, FiniteSteps, ReplacedPictures, RestorationValidation, SRGANModel):
    """Translates an unknown blur into a known one, unpaired. Blur2Blur, CVPR 2024, arXiv 2403.16205.

    One step: G(B) once; D's update (hinge on each scale, halved and added, and the gradient penalty on the full one);
    then G's update against the updated D with the same G(B): the adversarial term, averaged over the scales, and the
    content losses, summed over them. ``net_d_iters`` and ``net_d_init_iters`` hold G back as in BasicSR.
    With ``identity_opt`` G's update also has G(K) compared with K, likewise summed over the scales. ``scales`` leaves
    the smaller of G's outputs out of all this.

    ``accum_iter`` splits the batch: all parts' gradients are added up for D's update, then all for G's, so that losses
    and gradients are those of the whole batch, in the memory of a part; G runs twice.

    Validation deblurs both G(x) and x with the frozen ``network_deblur`` and logs metrics for both (``psnr`` and
    ``psnr_direct``, say), the gain, and the blurry picture's own (``psnr_blurry``).

    Args:
        opt: a parsed option file of ``model_type: Blur2BlurModel``; its keys stand in ``options/b2b_rb2v.yml``.

    Raises:
        UserError: if weights are missing or belong to another network.
    """

    frozen_networks = ('network_k', 'network_deblur')

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__(opt)
        used = frozen_sections(opt)
        self.net_k = self._build_frozen('network_k') if self.is_train and 'network_k' in used else None
        if self.net_k is not None:
            self._frozen(self.net_k)
        if self.is_train and opt.get('network_k') and self.net_k is None:
            get_root_logger().info('network_k is not used: K comes from another source than known pairs.')
        self.net_deblur = self._build_frozen('network_deblur') if 'network_deblur' in used else None
        if opt.get('val'):
            self._init_validation_settings()

    @cached_property
    def shake(self) -> CameraShake:
        """What makes K of ``known_base``, where ``synth_known_opt`` is ``on_device``."""
        key = 'datasets:train:synth_known_opt'
        return CameraShake.from_options(key, self.opt['datasets']['train']['synth_known_opt'])

    @cached_property
    def known_noise(self) -> KnownNoise:
        """What is added to K, where the data set gives a seed for it."""
        key = 'datasets:train:known_noise_opt'
        return KnownNoise.from_options(key, self.opt['datasets']['train'].get('known_noise_opt') or {})

    # ------------------------------------------------------------------------------------------------ networks

    def _build_frozen(self, section: str) -> nn.Module:
        return frozen_network(self.opt, section, self.device, self._memory_format)

    # ------------------------------------------------------------------------------------------------ training

    def init_training_settings(self) -> None:
        """EMA, D, losses, optimisers and schedulers, by BasicSR; VGG's weights from where the option says."""
        train_opt = self.opt['train']
        if train_opt.get('identity_start') and self.opt['path'].get('pretrain_network_g') is None:
            self._start_as_identity()
        with vgg_weights(train_opt.get('vgg_weights')):
            super().init_training_settings()
            identity_opt = train_opt.get('identity_opt')
            self.cri_idt: nn.Module | None = build_loss(identity_opt).to(self.device) if identity_opt else None
        self.accum_iter = int(train_opt.get('accum_iter', 1))
        self.scales: int | None = train_opt.get('scales')
        self.gp_weight = float((train_opt.get('gp_opt') or {}).get('weight', 0))
        lpips = build_loss(train_opt['lpips_opt']).to(self.device) if train_opt.get('lpips_opt') else None
        criteria = {'perceptual_opt': self.cri_perceptual, 'pixel_opt': self.cri_pix, 'lpips_opt': lpips}
        self.content_losses = {_CONTENT_LOSSES[key]: cri for key, cri in criteria.items() if cri is not None}
        if not self.content_losses:
            raise UserError(f'train: no content loss; set at least one of {", ".join(criteria)}')
        for criterion in (*self.content_losses.values(), *([] if self.cri_idt is None else [self.cri_idt])):
            self._frozen(criterion)

    def _start_as_identity(self) -> None:
        net_g = self.get_bare_model(self.net_g)
        if not hasattr(net_g, 'start_as_identity'):
            raise UserError(
                f'train:identity_start: {type(net_g).__name__} cannot start as the identity; set it to false'
            )
        net_g.start_as_identity()

    def feed_data(self, data: Mapping[str, Any]) -> None:
        """Takes a batch: ``lq`` and, in training, ``known``, or what it is made of on the device.

        That is ``known_base``, ``known_seed`` and ``known_centre`` for a camera shake, or ``known_blur``,
        ``known_sharp`` and ``sharp`` for ``network_k``. ``known_seed`` beside the latter, or beside ``known``, is that
        of their sensor noise.
        """
        self._note_place(data)
        self._note_replaced(data)
        self.lq = self._to_device(data['lq'])
        if 'gt' in data:
            self.gt = self._to_device(data['gt'])
        if 'known' in data:
            self.known = self._with_noise(self._to_device(data['known']), data)
        elif 'known_base' in data:
            self.known = self.shake.blur_batch(
                self._to_device(data['known_base']), data['known_seed'], data['known_centre']
            )
        elif 'known_blur' in data:
            if self.net_k is None:
                raise UserError("network_k: missing; known pairs (C', D') need it to carry their blur over to S")
            pair = (self._to_device(data[key]) for key in ('known_sharp', 'known_blur', 'sharp'))
            with torch.no_grad(), self._autocast():
                known = self.net_k(*pair).float()
            self.known = self._with_noise(known, data)

    def _with_noise(self, known: Tensor, data: Mapping[str, Any]) -> Tensor:
        return self.known_noise.on_batch(known, data['known_seed']) if 'known_seed' in data else known

    def _translate(self, picture: Tensor) -> list[Tensor]:
        """G's outputs that count, from the smallest to the full size; one or three, or as many as ``scales``."""
        with self._autocast():
            outputs = as_scales(self.net_g(picture))
        return largest_scales(outputs, self.scales)

    def _judge(self, net_d: nn.Module, pictures: Sequence[Tensor]) -> list[Tensor]:
        with self._autocast():
            return as_scales([net_d(picture) for picture in pictures])

    def _judge_both(self, reals: Sequence[Tensor], fakes: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """D's scores of the known pictures and of G's, at every scale."""
        if not self._d_judges_each_alone:
            return self._judge(self.net_d, reals), self._judge(self.net_d, fakes)
        scores = self._judge(self.net_d, [torch.cat(pair) for pair in zip(reals, fakes, strict=True)])
        halves = [score.chunk(2) for score in scores]
        return [real for real, _ in halves], [fake for _, fake in halves]

    @cached_property
    def _d_judges_each_alone(self) -> bool:
        """Whether D's score of a picture hangs on that picture alone, so that known ones and G's may share a batch."""
        return not any(isinstance(module, _BatchNorm) for module in self.net_d.modules())

    def _gan_loss(self, scores: list[Tensor], target_is_real: bool, is_disc: bool) -> Tensor:
        return torch.stack([self.cri_gan(score, target_is_real, is_disc=is_disc) for score in scores]).mean()

    def _draw_alpha(self, count: int) -> Tensor:
        """Where between real and fake each sample's penalty is taken, [count, 1, 1, 1] in [0, 1)."""
        return torch.rand(count, 1, 1, 1, generator=self.generator).to(self.device, non_blocking=True)

    def optimize_parameters(self, current_iter: int) -> None:
        """One step of D and, when its turn has come, of G, on the batch in ``accum_iter`` parts."""
        train_g = current_iter % self.net_d_iters == 0 and current_iter > self.net_d_init_iters
        losses = MeanLosses(self.accum_iter)
        # One part keeps G's graph for G's half. Of several, none is kept, and G runs once more.
        keep_graph = train_g and self.accum_iter == 1
        with self._guarded_step(current_iter, undo=[self.optimizer_d] if train_g else []) as step:
            outputs, states = self._step_d(losses, keep_graph)
            if step.take('net_d', self.optimizer_d, losses.means) and train_g:
                self._step_g(losses, outputs if keep_graph else None, states)
                self._update_g(step, losses.means)
        self._keep_losses(losses.means)

    def _step_d(self, losses: MeanLosses, keep_graph: bool) -> tuple[list[Tensor], list[RandomState]]:
        """Gives G's outputs for the last part; of several, where the random numbers stood before each."""
        self.net_d.requires_grad_(True)
        self.optimizer_d.zero_grad(set_to_none=True)
        states: list[RandomState] = []
        alphas = self._draw_alpha(len(self.known)) if self.gp_weight > 0 else torch.zeros(len(self.known))
        batch = zip(*(whole.chunk(self.accum_iter) for whole in (self.lq, self.known, alphas)), strict=True)
        for part, (lq, known, alpha) in enumerate(batch, start=1):
            if self.accum_iter > 1:
                states.append(RandomState.of(self.device))
            with torch.set_grad_enabled(keep_graph):
                outputs = self._translate(lq)
            with self._accumulating(self.net_d, more_to_come=part < self.accum_iter):
                total = self._d_loss(losses, known, [output.detach() for output in outputs], alpha)
                self.scaler.scale(total / self.accum_iter).backward()
        self.scaler.unscale_(self.optimizer_d)
        return outputs, states

    def _d_loss(self, losses: MeanLosses, known: Tensor, fakes: list[Tensor], alpha: Tensor) -> Tensor:
        real_scores, fake_scores = self._judge_both(resized_like(known, fakes), fakes)
        real = losses.add('l_d_real', self._gan_loss(real_scores, True, is_disc=True))
        fake = losses.add('l_d_fake', self._gan_loss(fake_scores, False, is_disc=True))
        losses.add('out_d_real', torch.stack([score.mean() for score in real_scores]).mean())
        losses.add('out_d_fake', torch.stack([score.mean() for score in fake_scores]).mean())
        total = (real + fake) / 2
        if self.gp_weight > 0:
            penalty = gradient_penalty(self._plain(self.net_d), known, fakes[-1], alpha)
            total = total + losses.add('l_d_gp', self.gp_weight * penalty)
        return total

    def _step_g(self, losses: MeanLosses, outputs: list[Tensor] | None, states: list[RandomState]) -> None:
        """With G's outputs for the whole batch and their graph; without, they are made again, part by part."""
        self.net_d.requires_grad_(False)
        self.optimizer_g.zero_grad(set_to_none=True)
        batch = zip(self.lq.chunk(self.accum_iter), self.known.chunk(self.accum_iter), strict=True)
        for place, (lq, known) in enumerate(batch):
            with self._accumulating(self.net_g, more_to_come=place + 1 < self.accum_iter):
                if outputs is None:
                    with states[place].again():
                        made = self._translate(lq)
                else:
                    made = outputs
                total = self._g_loss(losses, lq, made)
                if self.cri_idt is not None:
                    # One backward pass for both: several processes exchange gradients once.
                    loss = self._compared(self.cri_idt, self._translate(known), known)
                    total = total + losses.add('l_g_idt', loss)
                self.scaler.scale(total / self.accum_iter).backward()
        self.scaler.unscale_(self.optimizer_g)

    def _g_loss(self, losses: MeanLosses, lq: Tensor, outputs: list[Tensor]) -> Tensor:
        scores = self._judge(self.get_bare_model(self.net_d), outputs)
        total = losses.add('l_g_gan', self._gan_loss(scores, True, is_disc=False))
        for name, criterion in self.content_losses.items():
            total = total + losses.add(name, self._compared(criterion, outputs, lq))
        return total

    def _compared(self, criterion: nn.Module, outputs: list[Tensor], picture: Tensor) -> Tensor:
        """A loss between G's outputs and a picture at their sizes, added up over the scales."""
        targets = resized_like(picture, outputs)
        with self._autocast():
            return summed_loss(criterion, outputs, targets)

    # ------------------------------------------------------------------------------------------------ validation

    def _init_validation_settings(self) -> None:
        self._init_restoration(WITHOUT_DEBLURRER if self.net_deblur is None else WITH_DEBLURRER)
        if self.net_deblur is None:
            get_root_logger().info('No network_deblur: validation scores the translated picture G(x) alone.')

    def _restore(self, picture: Tensor, translate: bool) -> tuple[Tensor, ...]:
        """(translated, restored), or (directly deblurred,)."""
        results = []
        if translate:
            net_g = self.net_g_ema if hasattr(self, 'net_g_ema') else self.net_g
            picture = as_scales(self._plain(net_g)(picture))[-1]
            results.append(picture)
        if self.net_deblur is not None:
            results.append(as_scales(self.net_deblur(picture))[-1])
        elif translate:
            results.append(picture)
        return tuple(results)

    def _run(self, picture: Tensor, translate: bool) -> tuple[Tensor, ...]:
        return self._whole_or_tiled(lambda part: self._restore(part, translate), picture)

    def test(self) -> None:
        """Translates and restores ``lq``: sets ``translated`` and ``output``."""
        self.net_g.eval()
        self.translated, self.output = self._run(self.lq, translate=True)
        if self.is_train:
            self.net_g.train()

    def test_direct(self) -> None:
        """Deblurs ``lq`` without translating it: sets ``direct``, ``None`` without a deblurrer."""
        self.direct = self._run(self.lq, translate=False)[0] if self.net_deblur is not None else None

    def _validate(
        self, place: int, data: Mapping[str, Any], validation: Validation
    ) -> tuple[ScoredPicture, Pictures | None]:
        """Restored, blurry, direct and gain."""
        name, files, gt = self._restored(data, validation)
        # The deblurrer is frozen: x and what it makes of x itself are the same at every validation.
        first_time = (validation.name, place) not in self._baseline_scores
        shown = self._shows(place, validation)
        if first_time or shown:
            self.test_direct()
        pictures = self._pictures(gt)
        sharp = pictures.get('gt')
        if first_time:
            baselines = {BLURRY: pictures['lq'], DIRECT: pictures.get('direct')}
            self._baseline_scores[validation.name, place] = {
                kind: self.scores.of(picture, sharp, pictures['lq'])
                for kind, picture in baselines.items()
                if picture is not None
            }
        # Without a deblurrer G itself is one.
        source = pictures['lq' if self.net_deblur is None else 'translated']
        restored = self.scores.of(pictures['restored'], sharp, source)
        values = self.scores.beside(restored, self._baseline_scores[validation.name, place])
        if validation.saves:
            files |= self._save_pictures(pictures, validation.name, name, validation.iteration, with_direct=first_time)
        self.direct = None
        return ScoredPicture(name, values, files), pictures if shown else None

    def _pictures(self, gt: Tensor | None) -> dict[str, Any]:
        """What there is of lq, direct, translated, restored and gt."""
        made = {'direct': getattr(self, 'direct', None), 'translated': self.translated, 'restored': self.output}
        return self._levels_of({'lq': self.lq, **made, 'gt': gt})

    def _save_pictures(
        self, pictures: dict[str, Any], dataset_name: str, name: str, current_iter: int | str, with_direct: bool
    ) -> dict[str, Path]:
        """Saves what the networks made; gives the files, that of an earlier validation's ``direct`` among them."""
        files = {'restored': self._saved_as(dataset_name, name, current_iter)}
        if self.net_deblur is not None:
            files['translated'] = self._saved_as(dataset_name, name, current_iter, '_translated')
            files['direct'] = self._saved_as(dataset_name, name, '', '_direct')
        for kind, file in files.items():
            if kind != 'direct' or with_direct:
                self._save_picture(pictures[kind], file)
        return files

    def get_current_visuals(self) -> OrderedDict[str, Tensor]:
        """``lq``, ``translated`` and ``result`` (restored) of the last picture, on the CPU."""
        named = {'lq': self.lq, 'translated': self.translated, 'result': self.output}
        return OrderedDict((name, tensor.detach().cpu()) for name, tensor in named.items())

    # ------------------------------------------------------------------------------------------------ files

    def save(self, epoch: int, current_iter: int) -> None:
        """G with its EMA, D, and the state to resume from."""
        self._save_net_g(current_iter)
        self.save_network(self.net_d, 'net_d', current_iter)
        self.save_training_state(epoch, current_iter)
