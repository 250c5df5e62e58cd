"""Videos: the pictures of a set that lie in one folder, in the order in which they were taken."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from b2b_basicsr.data.natural_order import natural_order
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.data.random_crop import Size
from b2b_basicsr.errors import UserError


class Videos:
    """The frames of a set by video: one folder (of an LMDB's key: what stands before its last slash) is one video.

    Within it, natural order of names is the order of time: ``9.png`` comes before ``10.png``. A folder with fewer
    frames than asked for is left out.

    Args:
        source: the set.
        frames_needed: the fewest frames that a video must have.

    Raises:
        UserError: if no video is left.
    """

    def __init__(self, source: PictureSource, frames_needed: int) -> None:
        self.source = source
        folders: dict[str, list[int]] = {}
        for index, name in enumerate(source.names):
            folders.setdefault(str(PurePosixPath(name).parent), []).append(index)
        self._videos = [
            sorted(frames, key=lambda index: natural_order(source.names[index]))
            for frames in folders.values()
            if len(frames) >= frames_needed
        ]
        longest = max(map(len, folders.values()))
        if not self._videos:
            raise UserError(
                f'{source.option_key}: no folder holds {frames_needed} frames of one video, the upper end of '
                f'frame_mean_opt:frames (the longest has {longest}); lower it, or put the frames of each video into a '
                'folder of its own'
            )
        self._place = {
            frame: (video, position)
            for video, frames in enumerate(self._videos)
            for position, frame in enumerate(frames)
        }
        if len(self._videos) < len(folders):
            # Not BasicSR's get_root_logger: that would make the logger before its file is known.
            logging.getLogger('basicsr').info(
                '%s: %d of %d folders have fewer than %d frames and are left out.',
                source.option_key,
                len(folders) - len(self._videos),
                len(folders),
                frames_needed,
            )

    @property
    def frames(self) -> list[int]:
        """Places in the source of all frames of the videos in use, rising."""
        return sorted(self._place)

    def draw_window(self, count: int, generator: np.random.Generator) -> list[int]:
        """Places in the source of ``count`` consecutive frames, all such windows alike."""
        starts = np.cumsum([len(frames) - count + 1 for frames in self._videos])
        drawn = int(generator.integers(starts[-1]))
        video = int(np.searchsorted(starts, drawn, side='right'))
        first = drawn - (int(starts[video - 1]) if video else 0)
        return self._videos[video][first : first + count]

    def window_around(self, frame: int, count: int) -> list[int]:
        """Places in the source of ``count`` consecutive frames about one; moved inwards at its video's ends.

        Raises:
            UserError: if the frame's folder was left out.
        """
        if frame not in self._place:
            raise UserError(
                f'{self.source.option_key}: the folder of {self.source.path(frame)} has too few frames for '
                'frame_mean_opt:frames; lower them, or take the folder out'
            )
        video, position = self._place[frame]
        frames = self._videos[video]
        first = min(max(position - count // 2, 0), len(frames) - count)
        return frames[first : first + count]

    def refuse_unequal(self, first: int, first_size: Size, second: int, second_size: Size) -> None:
        """Refuses two frames of a video whose sizes differ.

        Raises:
            UserError: naming both.
        """
        if first_size != second_size:
            raise UserError(
                f'{self.source.option_key}: {self.source.path(first)} measures {first_size[0]}x{first_size[1]}, '
                f'{self.source.path(second)} {second_size[0]}x{second_size[1]}; the frames of one video must be of one '
                'size: put other pictures into another folder'
            )

    def check_size(self, frame: int) -> None:
        """Compares a frame's size with that of its video's first frame, from their headers.

        Raises:
            UserError: if they differ.
        """
        first = self._videos[self._place[frame][0]][0]
        self.refuse_unequal(first, self.source.size(first), frame, self.source.size(frame))


def middle_of(window: Sequence[int]) -> int:
    """The middle frame; of an even number the later of the two."""
    return window[len(window) // 2]
