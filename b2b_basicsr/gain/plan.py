"""Which stages a camera, a known camera, a variant and a seed take, and by which options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from b2b_basicsr.errors import UserError
from b2b_basicsr.gain.blurs import Shake
from b2b_basicsr.gain.cameras import Camera
from b2b_basicsr.gain.option_files import Options, changed, placed, shipped
from b2b_basicsr.gain.photo_manifest import Manifest
from b2b_basicsr.gain.picture_sets import make_known_sets, make_pool, make_target_sets
from b2b_basicsr.gain.recipes import DELETE, Changes, Size
from b2b_basicsr.gain.scenes import Scenes
from b2b_basicsr.gain.stages import PictureSets, PipelineRun, fingerprint
from b2b_basicsr.gain.variants import KnownFrom, Variant
from b2b_basicsr.prepare.link_or_copy import link_or_copy

HELD_OUT, KNOWN = 'held_out', 'known'
"""What ``gain_score.yml`` calls the sets of the target and of the known camera."""

Made = ParamSpec('Made')

_SOURCES_OF_K = ('dataroot_known', 'dataroot_known_blur', 'dataroot_known_sharp', 'synth_known_opt')


def _once(make: Callable[Concatenate[Plan, Made], PipelineRun]) -> Callable[Concatenate[Plan, Made], PipelineRun]:
    """A method of :class:`Plan` that makes each run once: a run is asked for by all those that come behind it."""

    @wraps(make)
    def made_once(plan: Plan, *of: Made.args, **named: Made.kwargs) -> PipelineRun:
        key = (make.__name__, *(part for part in of if not isinstance(part, Variant)))  # which has its name beside it
        if key not in plan.made:
            plan.made[key] = make(plan, *of, **named)
        return plan.made[key]

    return made_once


class Plan:
    """The stages of a benchmark.

    Args:
        manifest: of what it is made.
        size: how large it is.
        known: the known cameras.
        targets: the target cameras.
        photos: folder of the photographs; ``None`` if all pictures are made already.
    """

    def __init__(
        self,
        manifest: Manifest,
        size: Size,
        known: Mapping[str, Camera],
        targets: Mapping[str, Camera],
        photos: Path | None,
    ) -> None:
        self._manifest = manifest
        self._size = size
        self._known = known
        self._targets = targets
        self._photos = photos
        self.made: dict[tuple[object, ...], PipelineRun] = {}
        """Runs that were made, by method and arguments."""

    # ------------------------------------------------------------------------------------------------ pictures

    def known_sets(self, known: str) -> PictureSets:
        """The known camera's pairs."""
        camera = self._known[known]
        return PictureSets(
            known,
            self._made_from('known', camera),
            lambda folder: make_known_sets(folder, camera, self._scenes(known)),
            f'pictures of {known}',
        )

    def target_sets(self, target: str) -> PictureSets:
        """The target camera's pictures."""
        camera = self._targets[target]
        return PictureSets(
            target,
            self._made_from('target', camera),
            lambda folder: make_target_sets(folder, camera, self._scenes(target)),
            f'pictures of {target}',
        )

    def _of_variant(self, target: str, variant: Variant) -> PictureSets | None:
        """B and S of a variant that has its own."""
        camera, whole = self._targets[target], self.target_sets(target)
        if variant.pool:
            return PictureSets(
                f'{target}_pool',
                self._made_from('pool', camera),
                lambda folder: make_pool(folder, camera, self._scenes(target)),
                f'pictures of {target}, pooled',
            )
        count = variant.pictures
        if count is None:
            return None
        return PictureSets(
            f'{target}_b_{count}',
            fingerprint(whole.made_from, count),
            lambda folder: _cut_down(folder.parent / target / 'blurry', folder / 'blurry', count),
            f'{count} pictures of {target}',
            (whole,),
        )

    def _made_from(self, kind: str, camera: Camera) -> str:
        looks = camera.name, camera.blur, camera.look, camera.highlights
        manifest = self._manifest
        kernels = manifest.kernels if kind != 'known' else ''
        return fingerprint(kind, manifest.photos, kernels, self._size.shorter_side, self._size.at_most, *looks)

    def _scenes(self, name: str) -> Scenes:
        if self._photos is None:
            raise UserError(f'--photos: missing; the pictures of {name} are still to be made')
        return Scenes(self._photos, self._size.shorter_side, self._size.at_most)

    # ------------------------------------------------------------------------------------------------ trainings

    @_once
    def deblur(self, known: str, seed: int) -> PipelineRun:
        """The known camera's deblurrer."""
        options = self._options('deblur', f'deblur_{known}_seed{seed}', known, None, seed)
        return PipelineRun('deblur', 'train', options, f'deblur, {known}, seed {seed}', (self.known_sets(known),))

    @_once
    def kernel(self, known: str, seed: int) -> PipelineRun:
        """The network that makes K of S by the known camera's pairs."""
        options = self._options('kernel', f'kernel_{known}_seed{seed}', known, None, seed)
        return PipelineRun('kernel', 'train', options, f'kernel, {known}, seed {seed}', (self.known_sets(known),))

    def known_from(self, variant: Variant) -> KnownFrom:
        """Whence K."""
        return variant.known_from or ('kernel_network' if self._size.network_k else 'synth')

    @_once
    def translate(self, target: str, known: str, name: str, variant: Variant, seed: int) -> PipelineRun:
        """The translator from a target camera's blur to the known one."""
        deblur, kernel = self.deblur(known, seed), self.kernel(known, seed)
        source = self.known_from(variant)
        pictures, earlier = [self.target_sets(target)], [deblur]
        options = self._options(
            'translate',
            f'translate_{target}_to_{known}_{name}_seed{seed}',
            known,
            target,
            seed,
            {**self._source_of_k(source, target, known), 'network_deblur': deblur.options['network_g']},
            variant.changes,
            kernel.name,
        )
        if source == 'kernel_network':
            earlier.append(kernel)
        if source in ('kernel_network', 'known_set'):
            pictures.append(self.known_sets(known))
        own = self._of_variant(target, variant)
        if own is not None:
            pictures.append(own)
            blurry, sharp = ('pool_blurry', f'{own.name}/pool_sharp') if variant.pool else ('blurry', f'{target}/sharp')
            options['datasets']['train'] |= {
                'dataroot_blur': f'data/{own.name}/{blurry}',
                'dataroot_sharp': f'data/{sharp}',
            }
        for section, key in ((options['train'], 'total_iter'), (options['train']['scheduler'], 'start')):
            section[key] = round(section[key] * variant.length)
        if not variant.deblurs:
            options = _without_deblurrer(options)
            earlier.remove(deblur)
        title = f'translate, {target} to {known}, {name}, seed {seed}'
        return PipelineRun('translate', 'train', options, title, tuple(pictures), tuple(earlier))

    def _source_of_k(self, source: KnownFrom, target: str, known: str) -> Changes:
        """Changes of the translator's options."""
        sets = 'datasets:train:'
        changes: dict[str, Any] = {f'{sets}{key}': DELETE for key in _SOURCES_OF_K}
        look = self._targets[target].look
        noise = {'shot_noise': [look.shot_noise] * 2, 'read_noise': [look.read_noise] * 2}
        if source == 'kernel_network':
            kernel = self.kernel(known, 0)
            ema = kernel.options['train'].get('ema_decay', 0) > 0
            return changes | {
                f'{sets}dataroot_known_blur': f'data/{known}/blurry',
                f'{sets}dataroot_known_sharp': f'data/{known}/gt',
                'network_k': kernel.options['network_g'],
                'path:pretrain_network_k': f'experiments/{kernel.name}/models/net_g_latest.pth',
                'path:param_key_k': 'params_ema' if ema else 'params',
                f'{sets}known_noise_opt': noise,  # blur has averaged away that of S
            }
        if source == 'known_set':
            return changes | {f'{sets}dataroot_known': f'data/{known}/blurry'}
        if source == 'sharp_set':
            return changes | {f'{sets}dataroot_known': f'data/{target}/sharp'}
        blur = self._known[known].blur
        if not isinstance(blur, Shake):
            raise UserError(f'--known {known}: its blur is no parametric shake; take a size or variant with network K')
        return changes | {f'{sets}synth_known_opt': {**blur.shake.model_dump(exclude_unset=True), **noise}}

    @_once
    def oracle(self, target: str, known: str, seed: int) -> PipelineRun:
        """The deblurrer, fine-tuned on the target camera's true pairs."""
        deblur = self.deblur(known, seed)
        name = f'oracle_{target}_from_{known}_seed{seed}'
        network = {'network_g': deblur.options['network_g']}
        options = self._options('oracle', name, known, target, seed, network)
        title = f'oracle, {target} from {known}, seed {seed}'
        return PipelineRun('oracle', 'train', options, title, (self.target_sets(target),), (deblur,))

    # ------------------------------------------------------------------------------------------------ tests

    @_once
    def score(self, target: str, known: str, name: str, variant: Variant, seed: int) -> PipelineRun:
        """The test of a translator, on both cameras' held-out pictures."""
        translate, deblur = self.translate(target, known, name, variant, seed), self.deblur(known, seed)
        options = self._options(
            'score',
            f'score_{target}_to_{known}_{name}_seed{seed}',
            known,
            target,
            seed,
            {
                'network_g': translate.options['network_g'],
                'network_deblur': deblur.options['network_g'],
                **self._lpips(),
            },
            {},
            translate.name,
        )
        earlier = (translate, deblur) if variant.deblurs else (translate,)
        title = f'score, {target} to {known}, {name}, seed {seed}'
        pictures = (self.target_sets(target), self.known_sets(known))
        if not variant.deblurs:
            options = _without_deblurrer(options)
        return PipelineRun('score', 'test', options, title, pictures, earlier)

    @_once
    def score_oracle(self, target: str, known: str, seed: int) -> PipelineRun:
        """The test of the oracle."""
        oracle = self.oracle(target, known, seed)
        name = f'score_oracle_{target}_from_{known}_seed{seed}'
        changes = {'network_g': oracle.options['network_g'], **self._lpips()}
        options = self._options('score_oracle', name, known, target, seed, changes)
        title = f'score of the oracle, {target} from {known}, seed {seed}'
        return PipelineRun('score', 'test', options, title, (self.target_sets(target),), (oracle,))

    def _lpips(self) -> Changes:
        """LPIPS beside the other metrics: on all machines, or on none, else each would have tests of its own."""
        return {'val:metrics:lpips': {'type': 'calculate_lpips'}} if self._manifest.lpips else {}

    # ------------------------------------------------------------------------------------------------ options

    def _options(
        self,
        stage: str,
        name: str,
        known: str,
        target: str | None,
        seed: int,
        changes: Changes | None = None,
        of_variant: Changes | None = None,
        takes: str | None = None,
    ) -> Options:
        """A stage's shipped options: changed by the size, then by ``changes``, then by the variant, and placed.

        Args:
            stage: ``gain_STAGE.yml``.
            name: of the experiment or result.
            known: the known camera.
            target: the target camera; ``None``: all pictures are the known one's.
            seed: ``manual_seed``.
            changes: for this camera.
            of_variant: for this variant.
            takes: the experiment, by its name, that a path to another than a deblurrer or an oracle leads to.
        """
        options = changed(shipped(stage), self._size.changes.get(stage, {}))
        options = changed(changed(options, changes or {}), of_variant or {})
        ours = {
            'deblur': f'deblur_{known}_seed{seed}',
            'oracle': f'oracle_{target}_from_{known}_seed{seed}',
        }
        options = placed(
            options,
            lambda camera: known if target is None or camera in self._known else target,
            lambda experiment: ours.get(experiment.partition('_')[0], takes or experiment),
        )
        return {**options, 'name': name, 'manual_seed': seed}


def _without_deblurrer(options: Options) -> Options:
    keys = ('network_deblur', 'path:pretrain_network_deblur', 'path:param_key_deblur', 'path:strict_load_deblur')
    return changed(options, dict.fromkeys(keys, DELETE))


def _cut_down(whole: Path, few: Path, count: int) -> None:
    """Puts ``count`` pictures of a folder, spread evenly over its list, into another one."""
    files = sorted(whole.iterdir())
    if len(files) < count:
        raise UserError(
            f'{whole}: holds {len(files)} pictures, and the variant takes {count}; remove '
            f'{whole.parent}, which is then made anew'
        )
    few.mkdir(parents=True)
    for place in range(count):
        file = files[place * len(files) // count]
        link_or_copy(file, few / file.name)
