"""What the validations of all models that restore pictures have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from basicsr.utils import tensor2img
from torch import Tensor

from b2b_basicsr.models.centre_crop import centre_crop
from b2b_basicsr.models.placement import Placement
from b2b_basicsr.models.scores import Scores
from b2b_basicsr.models.shared_validation import Pictures, SharedValidation, Validation
from b2b_basicsr.models.val_options import RestorationValOptions
from b2b_basicsr.records.score_names import Comparison
from b2b_basicsr.tiling import apply_tiled


class RestorationValidation(Placement, SharedValidation):
    """Mixin of BasicSR's models: pictures one by one, cropped and tiled as ``val`` says; their names and files."""

    val_settings: RestorationValOptions
    lq: Tensor

    def _init_restoration(self, comparison: Comparison) -> None:
        settings = RestorationValOptions.from_options('val', self.opt['val'])
        self._init_record(settings, Scores(self.opt['val'].get('metrics') or {}, comparison))
        # By set and place in it: they are the same at every validation.
        self._baseline_scores: dict[tuple[str, int], dict[str, dict[str, float]]] = {}

    def _feed_validation(self, data: Mapping[str, Any]) -> Tensor | None:
        """Takes one picture, cropped about its centre where ``val: crop`` says so; gives the ground truth."""
        self.__dict__.pop('gt', None)
        self.feed_data({key: data[key] for key in ('lq', 'gt') if key in data})
        gt: Tensor | None = self.__dict__.pop('gt', None)
        crop = self.val_settings.crop
        if crop is not None:
            self.lq, gt = centre_crop(self.lq, crop), None if gt is None else centre_crop(gt, crop)
        return gt

    def _restored(self, data: Mapping[str, Any], validation: Validation) -> tuple[str, dict[str, Path], Tensor | None]:
        """Takes and restores one picture of a set: its name, the files that were given, the ground truth."""
        gt = self._feed_validation(data)
        self.test()
        return self._name_of(data, validation), self._given_files(data), gt

    def _shows(self, place: int, validation: Validation) -> bool:
        """Whether TensorBoard is to show the picture at a place of the set."""
        return validation.shows and place < self.val_settings.tb_pictures

    def _whole_or_tiled(self, restore: Callable[[Tensor], tuple[Tensor, ...]], picture: Tensor) -> tuple[Tensor, ...]:
        """What ``restore`` makes of a picture, on tiles where ``val: tile`` says so; without gradients."""
        with torch.no_grad(), self._autocast():
            tile = self.val_settings.tile
            if tile is None:
                return restore(picture)
            return apply_tiled(restore, picture, tile, self.val_settings.tile_overlap)

    @staticmethod
    def _levels_of(pictures: Mapping[str, Tensor | None]) -> dict[str, Any]:
        """Those that are there as BGR levels, uint8 [h, w, 3]."""
        return {name: tensor2img([picture.cpu()]) for name, picture in pictures.items() if picture is not None}

    def _saved_as(self, dataset_name: str, name: str, current_iter: int | str, kind: str = '') -> Path:
        """The file for a picture: a folder of its own in a training, where there is one of every validation.

        Args:
            dataset_name: of the set.
            name: of the picture in it.
            current_iter: the iteration, or ``''`` for what is the same at every one.
            kind: what of the picture it is, behind an underscore; empty for the result.
        """
        folder = Path(self.opt['path']['visualization'], dataset_name)
        if not self.is_train:
            return folder / f'{name}_{self.val_settings.suffix or self.opt["name"]}{kind}.png'
        iteration = f'_{current_iter}' if current_iter != '' else ''
        return folder / name / f'{Path(name).name}{iteration}{kind}.png'

    def _present(self, shown: Sequence[tuple[str, Pictures]], validation: Validation, tb_logger: Any) -> None:
        """Pictures side by side in TensorBoard, under their names."""
        for name, pictures in shown:
            strip = torch.cat([torch.from_numpy(picture[..., ::-1].copy()) for picture in pictures.values()], dim=1)
            title = f'{validation.name}/{name} ({" | ".join(pictures)})'
            tb_logger.add_image(title, strip, validation.iteration, dataformats='HWC')
