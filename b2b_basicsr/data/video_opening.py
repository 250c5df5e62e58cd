"""Videos opened for decoding."""

from __future__ import annotations

from pathlib import Path

import cv2

from b2b_basicsr.errors import UserError


def open_video(video: Path, name: str) -> cv2.VideoCapture:
    """The video, to be read frame by frame and released; frames are turned as the file says they are to be shown.

    Args:
        video: the file.
        name: of the video, for messages.

    Raises:
        UserError: if it cannot be opened as a video.
        OSError: if the file cannot be read.
    """
    refuse_playlist(video, name)
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise unreadable_video(name)
    return capture


def unreadable_video(name: str) -> UserError:
    """What to say of a file of which not one frame can be decoded."""
    return UserError(
        f'{name}: cannot be read as a video (OpenCV {cv2.__version__}); convert it (ffmpeg -i VIDEO out.mp4) or leave '
        'it out'
    )


def refuse_playlist(video: Path, name: str) -> None:
    """Text is no video, but FFmpeg follows what is written in playlists, to any file or address.

    Raises:
        UserError: if the file is text or empty.
        OSError: if it cannot be read.
    """
    with video.open('rb') as file:
        start = file.read(512).lstrip(b'\xef\xbb\xbf \t\r\n')
    text = start.isascii() and b'\0' not in start
    if not start or text or start.startswith((b'#EXTM3U', b'ffconcat', b'<')):
        raise UserError(f'{name}: is text or empty, no video; leave it out')
