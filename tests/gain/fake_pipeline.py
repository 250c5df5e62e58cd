"""Stands in for `b2b train` and `b2b test`: leaves what they leave, in no time."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from b2b_basicsr.records.picture_scores import ScoredPicture, write_picture_scores
from b2b_basicsr.stage_process import StageError

PSNR = {'blurry': 20.0, 'direct': 21.0, 'restored': 23.5, 'oracle': 25.0, 'known_deblurred': 30.0, 'through_g': 29.8}


@dataclass
class FakePipeline:
    """Call it in place of ``run_stage``.

    Args:
        ran: (command, name, whether it resumed) of each call.
        fails: name of the run that ends with an error; its training has begun by then.
        stops: name of the run during which Ctrl-C comes.
        better: what every restored picture has more in PSNR, by name of the translator's training.
    """

    ran: list[tuple[str, str, bool]] = field(default_factory=list)
    fails: str = ''
    stops: str = ''
    better: dict[str, float] = field(default_factory=dict)

    def __call__(
        self,
        command: str,
        option_file: Path,
        folder: Path,
        *,
        title: str,
        iterations: int,
        log: Path,
        resumes: bool = False,
        held_files: Sequence[int] = (),
    ) -> None:
        text = (folder / option_file).read_text()
        options = yaml.safe_load(text)
        name = options['name']
        self.ran.append((command, name, resumes))
        place = folder / ('experiments' if command == 'train' else 'results') / name
        if place.exists() and not resumes:  # as BasicSR does
            place.rename(place.with_name(f'{name}_archived_{len(self.ran)}'))
        place.mkdir(parents=True, exist_ok=resumes)
        self._refuse_missing_files(folder, options)
        if command == 'train':
            (place / f'{name}.yml').write_text(f'# GENERATE TIME: now\n# CMD:\n# b2b train\n\n{text}')
        if name == self.fails:
            raise StageError(f'{title} ended with status 1: broken (all of it: {log})')
        if name == self.stops:
            raise KeyboardInterrupt
        if command == 'train':
            self._train(place, iterations)
        else:
            self._test(place, folder, options)

    @property
    def names(self) -> list[str]:
        return [name for _, name, _ in self.ran]

    @staticmethod
    def _refuse_missing_files(folder: Path, section: Any) -> None:
        """As a training would do, whose option file leads nowhere."""
        for value in section.values():
            if isinstance(value, dict):
                FakePipeline._refuse_missing_files(folder, value)
            elif isinstance(value, str) and value.partition('/')[0] in ('data', 'experiments'):
                assert (folder / value).exists(), value

    @staticmethod
    def _train(place: Path, iterations: int) -> None:
        for below in ('models', 'training_states'):
            (place / below).mkdir(exist_ok=True)
        with zipfile.ZipFile(place / 'models' / 'net_g_latest.pth', 'w') as file:
            file.writestr('weights', 'numbers')
        history = [
            {'iter': iteration, 'dataset': 'held_out', 'values': {'psnr': 20.0, 'gain': iteration / 10}}
            for iteration in (iterations // 2, iterations)
        ]
        (place / 'training_states' / 'validations.jsonl').write_text('\n'.join(map(json.dumps, history)) + '\n')

    def _test(self, place: Path, folder: Path, options: dict[str, Any]) -> None:
        (place / 'test_x_20261123_000000.log').write_text('')
        deblurs = 'network_deblur' in options
        trained = Path(options['path']['pretrain_network_g']).parts[1]
        for section in options['datasets'].values():
            pictures = []
            for lq in sorted((folder / section['dataroot_lq']).iterdir()):
                gt = folder / section['dataroot_gt'] / f'{lq.stem}.png'
                values = self._values(trained, section['name'], deblurs)
                files = {'lq': lq, 'gt': gt}
                for kind in ('restored', 'direct', 'translated') if deblurs else ('restored',):
                    files[kind] = place / 'visualization' / section['name'] / f'{lq.stem}_{kind}.png'
                    files[kind].parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(np.full((*np.asarray(Image.open(gt)).shape[:2], 3), 90, np.uint8)).save(files[kind])
                pictures.append(ScoredPicture(lq.stem, values, files))
            write_picture_scores(place / f'{section["name"]}.csv', pictures)

    def _values(self, trained: str, set_name: str, deblurs: bool) -> dict[str, float]:
        if trained.startswith('oracle_'):
            return {'psnr': PSNR['oracle'], 'psnr_blurry': PSNR['blurry'], 'ssim': 0.9}
        own = set_name == 'known'
        restored = PSNR['through_g' if own else 'restored'] + self.better.get(trained, 0.0)
        values = {'psnr': restored, 'psnr_blurry': PSNR['blurry'], 'ssim': 0.8, 'ssim_blurry': 0.6}
        if deblurs:
            values['psnr_direct'] = PSNR['known_deblurred' if own else 'direct']
            values['gain'] = restored - values['psnr_direct']
        return values
