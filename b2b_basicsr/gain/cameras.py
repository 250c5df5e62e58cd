"""The cameras of ``b2b bench gain``: those whose blur is known, and three whose blur is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from b2b_basicsr.data.camera_shake import CameraShake
from b2b_basicsr.gain.blurs import Blur, Defocus, MeasuredShake, Shake, TurningShake
from b2b_basicsr.gain.camera_look import CameraLook
from b2b_basicsr.gain.measured_kernels import Kernel

_KNOWN_LOOK = CameraLook(shot_noise=0.004, read_noise=0.002, contrast=0.0, jpeg_quality=96)
"""Of all known cameras, which differ in their blur alone."""


@dataclass(frozen=True)
class Camera:
    """A camera: what blurs its pictures, and how they look.

    Args:
        name: on the command line and in the results.
        about: what a table says of its blur.
        blur: of its blurry pictures.
        look: of all its pictures.
        highlights: how many times brighter than white the brightest light of a scene is, which the sensor clips.
    """

    name: str
    about: str
    blur: Blur
    look: CameraLook
    highlights: float = 1.0


def known_cameras() -> dict[str, Camera]:
    """The cameras with pairs of blurry and sharp pictures, by name: the default one, and others to choose among.

    Near-horizontal motion comes first: narrow enough for a small deblurrer to be strong on it and wrong elsewhere. Each
    one's blur is a :class:`~b2b_basicsr.gain.blurs.Shake`, whose options are ``synth_known_opt``, noise aside.
    """
    shakes = {
        'horizontal': (
            'near-horizontal motion, 9 to 15 pixels',
            CameraShake(length=(9, 15), angle=(-4, 4), curvature=(0, 15), unsteadiness=(0, 0.3)),
        ),
        'vertical': (
            'near-vertical motion, 9 to 15 pixels',
            CameraShake(length=(9, 15), angle=(86, 94), curvature=(0, 15), unsteadiness=(0, 0.3)),
        ),
        'short': (
            'short motion of any direction, 4 to 8 pixels',
            CameraShake(length=(4, 8), angle=(0, 180), curvature=(0, 15), unsteadiness=(0, 0.3)),
        ),
        'long': (
            'long near-horizontal motion, 18 to 26 pixels',
            CameraShake(length=(18, 26), angle=(-4, 4), curvature=(0, 15), unsteadiness=(0, 0.3)),
        ),
        'any_direction': (
            'curved motion of any direction, 8 to 20 pixels',
            CameraShake(length=(8, 20), angle=(0, 180), curvature=(0, 180), unsteadiness=(0, 0.5)),
        ),
    }
    return {name: Camera(name, about, Shake(shake), _KNOWN_LOOK) for name, (about, shake) in shakes.items()}


def simulated_kernels(count: int = 8) -> list[Kernel]:
    """Shake kernels to take where no measured ones are given, like those of Levin et al. 2009; the same each time."""
    shake = CameraShake(length=(18, 40), angle=(0, 180), curvature=(120, 360), unsteadiness=(0.2, 0.8))
    generator = np.random.default_rng(2009)
    return [shake.kernel(generator) for _ in range(count)]


def target_cameras(kernels: Sequence[Kernel] | None) -> dict[str, Camera]:
    """The cameras of unknown blur, by name.

    Args:
        kernels: measured shake kernels; ``None``: simulated ones.
    """
    measured = 'simulated' if kernels is None else 'measured'
    cameras = (
        Camera(
            name='shake',
            about=f'{measured} shake kernels, turned and scaled',
            blur=MeasuredShake(simulated_kernels() if kernels is None else kernels, scale=(0.5, 0.9)),
            look=CameraLook(shot_noise=0.006, read_noise=0.003, contrast=0.15, jpeg_quality=94),
        ),
        Camera(
            name='defocus',
            about='defocus and a little shake',
            blur=Defocus((1.5, 2.8), CameraShake(length=(1, 4))),
            look=CameraLook(shot_noise=0.005, read_noise=0.002, contrast=-0.1, jpeg_quality=95),
        ),
        Camera(
            name='turning',
            about='shake that turns, so varies over the picture, with clipped highlights',
            blur=TurningShake(CameraShake(length=(3, 9), angle=(0, 180), curvature=(0, 60), rotation=(1, 4))),
            look=CameraLook(shot_noise=0.006, read_noise=0.002, contrast=0.1, jpeg_quality=93),
            highlights=3.0,
        ),
    )
    return {camera.name: camera for camera in cameras}
