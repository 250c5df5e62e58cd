"""Training and validation of the blur-kernel network, on BasicSR's model for paired pictures."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from basicsr.models.sr_model import SRModel
from basicsr.utils import tensor2img
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor

from b2b_basicsr.archs.kernel_wizard_arch import KernelWizard
from b2b_basicsr.data.broken_picture import read_sample
from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.code_divergence import code_divergence
from b2b_basicsr.models.centre_crop import centre_crop
from b2b_basicsr.models.finite_steps import FiniteSteps
from b2b_basicsr.models.lr_scheduler import Schedules
from b2b_basicsr.models.optimizers import Optimizers
from b2b_basicsr.models.replaced_pictures import ReplacedPictures
from b2b_basicsr.models.scores import Scores
from b2b_basicsr.models.shared_validation import Pictures, SharedValidation, Validation
from b2b_basicsr.models.strip_picture import strip_picture
from b2b_basicsr.models.val_options import ValOptions
from b2b_basicsr.records.picture_scores import ScoredPicture
from b2b_basicsr.records.score_names import NO_BLUR, Comparison

COMPARISON = Comparison((NO_BLUR,), gain_over=NO_BLUR)
_STRIP_ROWS = 4
_STRIP_SIDE = 256


@MODEL_REGISTRY.register()
class KernelWizardModel(Optimizers, Schedules, FiniteSteps, ReplacedPictures, SharedValidation, SRModel):
    """Trains ``KernelWizard`` on pairs of a known blur. Tran et al., CVPR 2021; Blur2Blur's network K.

    A batch is any of BasicSR's paired sets: ``lq`` the blurry picture, ``gt`` its sharp twin. The code of the pair and
    the sharp picture must give the blurry one: ``pixel_opt`` (the paper's: Charbonnier, summed) between
    ``transfer(gt, encode(gt, lq))`` and ``lq``, and with ``use_vae`` the divergence of the code, ``kl_opt``.

    Validation scores the re-blurred picture against the blurry one: ``psnr``, beside ``psnr_no_blur``, the sharp
    picture's own, and their difference, ``gain``. Each writes one picture, ``visualization/SET/SET_ITERATION.png``: of
    four pairs, spread over the set, the sharp, the blurry and the re-blurred picture, and another sharp picture, from
    half a set away, before and after it is given that blur.

    Args:
        opt: a parsed option file of ``model_type: KernelWizardModel``; its keys stand in ``options/kernel_gopro.yml``.

    Raises:
        UserError: if weights belong to another network, or ``network_g`` is no KernelWizard.
    """

    frozen_networks = ()

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__(opt)
        if opt.get('val'):
            settings = ValOptions.from_options('val', self.opt['val'])
            self._init_record(settings, Scores(self.opt['val'].get('metrics') or {}, COMPARISON))

    # ------------------------------------------------------------------------------------------------ training

    def init_training_settings(self) -> None:
        """EMA, loss, optimiser and schedule, by BasicSR."""
        super().init_training_settings()
        self.kl_weight = float((self.opt['train'].get('kl_opt') or {}).get('weight', 0))

    def feed_data(self, data: Mapping[str, Any]) -> None:
        """Takes a batch: ``lq`` blurry, ``gt`` sharp, both [n, 3, h, w] in [0, 1]."""
        self._note_place(data)
        self._note_replaced(data)
        if 'gt' not in data:
            raise UserError('datasets: the kernel network needs pairs: a data set with dataroot_lq and dataroot_gt')
        self.lq, self.gt = self._to_device(data['lq']), self._to_device(data['gt'])

    def optimize_parameters(self, current_iter: int) -> None:
        """One step."""
        with self._guarded_step(current_iter) as step:
            self.optimizer_g.zero_grad(set_to_none=True)
            with self._autocast():
                self.output, mean, sigma = self.net_g(self.gt, self.lq, generator=self.generator)
            losses: OrderedDict[str, Tensor] = OrderedDict()
            losses['l_pix'] = total = self.cri_pix(self.output.float(), self.lq)
            if self.kl_weight > 0:
                losses['l_kl'] = self.kl_weight * code_divergence(mean.float(), sigma.float())
                total = total + losses['l_kl']
            self.scaler.scale(total).backward()
            self.scaler.unscale_(self.optimizer_g)
            self._update_g(step, losses)
        self._keep_losses(losses)

    def _wizard(self, net: Any) -> KernelWizard:
        bare = self.get_bare_model(net)
        if not isinstance(bare, KernelWizard):
            raise UserError(f'network_g:type: {type(bare).__name__} has no kernel code; use type: KernelWizard')
        return bare

    # ------------------------------------------------------------------------------------------------ validation

    def test(self) -> None:
        """Takes the blur of ``gt`` and ``lq`` and gives it to ``gt``: sets ``output``."""
        self.output, _ = self._reblur(self.gt, self.lq)

    def _reblur(self, sharp: Tensor, blur: Tensor) -> tuple[Tensor, Tensor]:
        net = self._eval_net()
        with torch.no_grad(), self._autocast():
            output, code, _ = net.reblur(sharp, blur)
        return output.float(), code

    def _eval_net(self) -> KernelWizard:
        """The network that is scored and saved: the EMA where there is one. Its code is the mean."""
        net = self._wizard(self.net_g_ema if hasattr(self, 'net_g_ema') else self.net_g)
        return net.eval()

    def _validate(
        self, place: int, data: Mapping[str, Any], validation: Validation
    ) -> tuple[ScoredPicture, Pictures | None]:
        """Re-blurred beside sharp, each against the blurry picture."""
        dataset = validation.dataset
        self._feed_cropped(data)
        self.test()
        reblurred, sharp, blurry = (self._levels(picture) for picture in (self.output, self.gt, self.lq))
        baselines = {NO_BLUR: self.scores.of(sharp, blurry)}
        values = self.scores.beside(self.scores.of(reblurred, blurry), baselines)
        row = None
        # Spread over the set, and with a picture half a set away: neighbours in a set are frames of one scene.
        if place in {len(dataset) * row // _STRIP_ROWS for row in range(_STRIP_ROWS)}:
            with suppress(UserError, OSError):  # what is wrong with it is told when its own turn comes
                row = self._row(read_sample(dataset, (place + (len(dataset) + 1) // 2) % len(dataset))['gt'][None])
        name, files = self._name_of(data, validation), self._given_files(data)
        if validation.saves:
            folder = Path(self.opt['path']['visualization'], validation.name, name)
            files['reblurred'] = folder / f'{folder.name}_{validation.iteration}.png'
            self._save_picture(reblurred, files['reblurred'])
        return ScoredPicture(name, values, files), row

    def _present(self, shown: Sequence[tuple[str, Pictures]], validation: Validation, tb_logger: Any) -> None:
        """One picture of a row for each pair."""
        strip, name = strip_picture([row for _, row in shown]), validation.name
        self._save_picture(strip, Path(self.opt['path']['visualization'], name, f'{name}_{validation.iteration}.png'))
        if tb_logger:
            tb_logger.add_image(name, strip[..., ::-1].copy(), validation.iteration, dataformats='HWC')

    def _feed_cropped(self, data: Mapping[str, Any]) -> None:
        self.feed_data(data)
        crop = self.val_settings.crop
        if crop is not None:
            self.lq, self.gt = centre_crop(self.lq, crop), centre_crop(self.gt, crop)

    @staticmethod
    def _levels(picture: Tensor) -> Any:
        """BGR levels, uint8 [h, w, 3]."""
        return tensor2img([picture.cpu()])

    def _row(self, other_sharp: Tensor) -> dict[str, Any]:
        """Centres of the pair and of what the network makes of it, and another sharp picture with that blur."""
        side = self.val_settings.crop or _STRIP_SIDE
        sharp, blurry, other = (
            centre_crop(picture, side) for picture in (self.gt, self.lq, self._to_device(other_sharp))
        )
        reblurred, code = self._reblur(sharp, blurry)
        with torch.no_grad(), self._autocast():
            other_blurred = self._eval_net().transfer(other, code).float()
        pictures = {'sharp': sharp, 'blurry': blurry, 're-blurred': reblurred}
        pictures |= {'other sharp': other, 'other, that blur': other_blurred}
        return {name: self._levels(picture) for name, picture in pictures.items()}

    def get_current_visuals(self) -> OrderedDict[str, Tensor]:
        """``lq``, ``gt`` and ``result`` (re-blurred) of the last pair, on the CPU."""
        named = {'lq': self.lq, 'gt': self.gt, 'result': self.output}
        return OrderedDict((name, tensor.detach().cpu()) for name, tensor in named.items())

    # ------------------------------------------------------------------------------------------------ files

    def save(self, epoch: int, current_iter: int) -> None:
        """The network with its EMA, and the state to resume from."""
        self._save_net_g(current_iter)
        self.save_training_state(epoch, current_iter)
