"""Small data sets in the layouts of the published ones, made of photographs that come inside scikit-image.

Each maker returns the sources to give to ``b2b prepare``. A scene is one photograph that a camera pans over; its blurry
frames are means over the pan, as GoPro's are.
"""

from __future__ import annotations

import io
import math
import tarfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

Kind = Literal['zip', 'tar', 'tar.gz', 'folder']
Size = tuple[int, int]
Picture = NDArray[np.uint8]

_PHOTOGRAPHS = ('astronaut', 'coffee', 'chelsea', 'hubble_deep_field', 'immunohistochemistry', 'rocket')
_EXPOSURE = 9


@cache
def _photograph(name: str) -> Picture:
    return np.ascontiguousarray(np.asarray(getattr(data, name)())[..., ::-1])


def sharp_frame(scene: int, frame: int, size: Size) -> Picture:
    """One frame of a pan over a photograph: uint8 BGR [h, w, 3], with ``size`` as width and height."""
    return _pan(scene, 3.0 * frame, size)


def blurry_frame(scene: int, frame: int, size: Size) -> Picture:
    """The mean over the pan around that frame."""
    moments = [_pan(scene, 3.0 * frame + step, size) for step in range(-(_EXPOSURE // 2), _EXPOSURE // 2 + 1)]
    return np.asarray(np.mean(moments, axis=0).round(), dtype=np.uint8)


def _pan(scene: int, moment: float, size: Size) -> Picture:
    photograph = _photograph(_PHOTOGRAPHS[scene % len(_PHOTOGRAPHS)])
    width, height = size
    room = max((width + 40) / photograph.shape[1], (height + 40) / photograph.shape[0], 0.25)
    photograph = np.asarray(cv2.resize(photograph, None, fx=room, fy=room, interpolation=cv2.INTER_AREA), np.uint8)
    angle = 0.9 * scene
    centre = (
        photograph.shape[1] / 2 + 12 * math.sin(0.1 * moment) * math.cos(angle) + 3 * (scene // len(_PHOTOGRAPHS)),
        photograph.shape[0] / 2 + 12 * math.sin(0.1 * moment) * math.sin(angle),
    )
    return np.asarray(cv2.getRectSubPix(photograph, size, centre), dtype=np.uint8)


def png(picture: Picture) -> bytes:
    """A picture as PNG."""
    return cv2.imencode('.png', picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def pack(folder: Path, name: str, kind: Kind, members: Mapping[str, bytes]) -> Path:
    """Lay members out as an archive, or as a folder, of this name."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (name if kind == 'folder' else f'{name}.{kind}')
    if kind == 'folder':
        for path, content in members.items():
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    elif kind == 'zip':
        with zipfile.ZipFile(target, 'w') as archive:
            for path, content in members.items():
                archive.writestr(path, content)
    else:
        with tarfile.open(target, 'w:gz' if kind == 'tar.gz' else 'w') as tar:
            for path, content in members.items():
                member = tarfile.TarInfo(path)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return target


def make_gopro(
    folder: Path, kind: Kind = 'zip', scenes: Size = (5, 2), frames: int = 3, size: Size = (96, 64)
) -> list[Path]:
    """GOPRO_Large: ``scenes`` of train and of test."""
    members = {}
    for split, first, count in (('train', 0, scenes[0]), ('test', scenes[0], scenes[1])):
        for scene in range(first, first + count):
            for frame in range(frames):
                base = f'GOPRO_Large/{split}/GOPR{scene:04}_11_00'
                blurry = png(blurry_frame(scene, frame, size))
                members[f'{base}/blur/{frame + 47:06}.png'] = blurry
                members[f'{base}/blur_gamma/{frame + 47:06}.png'] = blurry
                members[f'{base}/sharp/{frame + 47:06}.png'] = png(sharp_frame(scene, frame, size))
    return [pack(folder, 'GOPRO_Large', kind, members)]


def make_reds(
    folder: Path, kind: Kind = 'zip', scenes: Size = (5, 2), frames: int = 3, size: Size = (96, 64)
) -> list[Path]:
    """REDS: train_sharp, train_blur, val_sharp and val_blur."""
    sources = []
    for split, first, count in (('train', 0, scenes[0]), ('val', scenes[0], scenes[1])):
        for role, make in (('sharp', sharp_frame), ('blur', blurry_frame)):
            members = {
                f'{split}/{split}_{role}/{scene:03}/{frame:08}.png': png(make(first + scene, frame, size))
                for scene in range(count)
                for frame in range(frames)
            }
            sources.append(pack(folder, f'{split}_{role}', kind, members))
    return sources


def make_rb2v(
    folder: Path, kind: Kind = 'zip', scenes: Size = (5, 2), frames: int = 3, size: Size = (96, 64)
) -> list[Path]:
    """RB2V: one archive with train and test, blur and sharp above the scenes."""
    members = {}
    for split, first, count in (('train', 0, scenes[0]), ('test', scenes[0], scenes[1])):
        for scene in range(first, first + count):
            for frame in range(frames):
                members[f'RB2V_Street/{split}/blur/{scene:04}/{frame:04}.png'] = png(blurry_frame(scene, frame, size))
                members[f'RB2V_Street/{split}/sharp/{scene:04}/{frame:04}.png'] = png(sharp_frame(scene, frame, size))
    return [pack(folder, 'RB2V_Street', kind, members)]


def make_rsblur(
    folder: Path, kind: Kind = 'zip', scenes: Size = (5, 2), frames: int = 3, size: Size = (96, 64)
) -> list[Path]:
    """RSBlur: a folder for each pair, named by roles in the files' names, and beside it a picture of another kind."""
    members = {}
    for split, first, count in (('train', 0, scenes[0]), ('test', scenes[0], scenes[1])):
        for scene in range(first, first + count):
            for frame in range(frames):
                base = f'RSBlur/{split}/{scene:04}/{frame:06}'
                blurry = png(blurry_frame(scene, frame, size))
                members[f'{base}/blur/real_blur.png'] = blurry
                members[f'{base}/blur/avg_blur.png'] = blurry
                members[f'{base}/gt/gt_sharp.png'] = png(sharp_frame(scene, frame, size))
    return [pack(folder, 'RSBlur', kind, members)]


def make_phonecraft(
    folder: Path, kind: Kind = 'zip', scenes: Size = (4, 3), frames: int = 8, size: Size = (96, 64)
) -> list[Path]:
    """PhoneCraft: ``scenes`` blurry and sharp videos of other scenes."""
    folder.mkdir(parents=True, exist_ok=True)
    members = {}
    for role, first, count in (('blurry', 0, scenes[0]), ('sharp', scenes[0], scenes[1])):
        for scene in range(first, first + count):
            video = make_video(folder / f'{role}_{scene}.mp4', scene, frames, size, blurry=role == 'blurry')
            members[f'PhoneCraft/{role}_videos/clip{scene:02}.mp4'] = video.read_bytes()
            video.unlink()
    return [pack(folder, 'PhoneCraft', kind, members)]


def make_video(
    path: Path, scene: int = 0, frames: int = 12, size: Size = (96, 64), fps: float = 6.0, blurry: bool = False
) -> Path:
    """A video of a pan, MPEG-4 at ``fps`` frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # (code, not cv2.VideoWriter_fourcc: OpenCV's own name for it moved between versions)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), fps, size)
    assert writer.isOpened()
    make = blurry_frame if blurry else sharp_frame
    for frame in range(frames):
        writer.write(make(scene, frame, size))
    writer.release()
    return path
