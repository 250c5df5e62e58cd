"""Known blur made from sharp videos: the mean of consecutive frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from b2b_basicsr.data.linear_light import as_levels, encode_srgb, light_of_levels, with_sensor_noise
from b2b_basicsr.data.sensor_noise import SensorNoise
from b2b_basicsr.data.videos import Videos
from b2b_basicsr.options.section import Range, bounded


def _whole(bounds: tuple[float, float]) -> tuple[float, float]:
    if any(bound != int(bound) for bound in bounds):
        raise ValueError(f'{list(bounds)} must be whole numbers')
    return bounds


class FrameMean(SensorNoise):
    """Blurs as a longer exposure does, by averaging consecutive sharp frames of a video: option ``frame_mean_opt``.

    K is the mean, in linear light, of n consecutive frames, as the GoPro and REDS sets were made; n is drawn evenly
    from the whole numbers of ``frames``. The middle one (of an even n the later of the two) is S. All moves that the
    videos show are in it: of the camera, of things, and what they hide. What is consecutive, the names of the frames
    say, see :class:`Videos`: frames that were dropped, or of two takes in one folder, go unnoticed.

    The frames must be sharp, and at so high a rate that nothing moves much more than a pixel from one to the next
    (GoPro's set: 240 a second). Otherwise K shows separate copies (ghosting) instead of streaks, which no camera gives
    and no deblurring network has learnt; and frames that are blurred themselves lend K the unknown blur.

    Raises:
        pydantic.ValidationError: if a range falls or leaves its bounds (``from_options``: ``UserError``).
    """

    frames: Annotated[Range, bounded(2, 999), AfterValidator(_whole)] = (7, 13)
    """Range of n, whole numbers from 2 to 999; folders with fewer frames than its upper end are left out."""

    @property
    def most_frames(self) -> int:
        """The upper end of ``frames``."""
        return int(self.frames[1])

    def draw_count(self, generator: np.random.Generator) -> int:
        """How many frames to average."""
        return int(generator.integers(int(self.frames[0]), self.most_frames + 1))

    def mean(self, frames: Iterator[NDArray[np.uint8]], generator: np.random.Generator) -> NDArray[np.float32]:
        """The mean of frames in linear light, with noise.

        Args:
            frames: uint8 [h, w, 3] each, sRGB, of one size; at least one. They are taken one by one.
            generator: source of the noise.

        Returns:
            float32 [h, w, 3] in [0, 1], sRGB.
        """
        lights = map(light_of_levels, frames)
        total, count = next(lights), 1
        for light in lights:
            total += light
            count += 1
        return encode_srgb(with_sensor_noise(total / np.float32(count), generator, *self.draw_noise(generator)))

    def of_video(self, videos: Videos, frame: int, seed: int, resize: int | None = None) -> NDArray[np.uint8]:
        """The mean about one frame, whole; at its video's ends the frames averaged are moved inwards.

        The same seed gives the same bytes.

        Args:
            videos: made with ``frames_needed`` of at least :attr:`most_frames`.
            frame: its place in ``videos.source``.
            seed: of the number of frames and the noise.
            resize: shorter side that each frame is resized to first, as in training; ``None`` leaves them.

        Returns:
            uint8 [h, w, 3], sRGB.

        Raises:
            UserError: if a frame cannot be read, or differs in size from the others, or its folder was left out.
        """
        generator = np.random.default_rng(seed)
        window = videos.window_around(frame, self.draw_count(generator))

        def pictures() -> Iterator[NDArray[np.uint8]]:
            first_size = None
            for index in window:
                size = videos.source.size(index)
                first_size = first_size or size
                videos.refuse_unequal(window[0], first_size, index, size)
                yield np.asarray(videos.source.read_resized(index, resize))

        return as_levels(self.mean(pictures(), generator))
