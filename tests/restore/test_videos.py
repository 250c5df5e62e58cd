from __future__ import annotations

import errno
import json
import shutil
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from b2b_basicsr.errors import UserError
from b2b_basicsr.restore.ffmpeg_call import ffmpeg_is_there
from b2b_basicsr.restore.video_source import VideoSource
from b2b_basicsr.restore.video_writer import _FfmpegWriter, video_to

needs_ffmpeg = pytest.mark.skipif(not ffmpeg_is_there(), reason='ffmpeg and ffprobe are not on the PATH')
TONE = ('-f', 'lavfi', '-i', 'sine=frequency=440:duration=1', '-c:a', 'aac')


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(['ffmpeg', '-v', 'error', '-y', *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


def made(path: Path, *arguments: str, size: str = '64x48', rate: str = '10') -> Path:
    ffmpeg('-f', 'lavfi', '-i', f'testsrc2=s={size}:r={rate}:d=1', *arguments, path)
    return path


def probed(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The pictures' stream, with its packets counted, and the kinds of all streams."""
    asked = ['ffprobe', '-v', 'error', '-count_packets', '-show_streams', '-of', 'json', str(path)]
    streams = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)['streams']
    (video,) = (stream for stream in streams if stream['codec_type'] == 'video')
    return video, [stream['codec_type'] for stream in streams]


def passed_through(source: Path, out: Path) -> list[str]:
    """Writes a video of the same frames; gives what is to be told."""
    video = VideoSource(source)
    with video_to(out, video.facts.width, video.facts.height, video) as writer:
        for frame in video.frames():
            writer.write(frame)
    return [*video.notes, writer.left_out]


def frames_of(path: Path) -> list[np.ndarray]:
    return list(VideoSource(path).frames())


def sound_of(path: Path) -> bytes:
    decode = ['ffmpeg', '-v', 'error', '-i', str(path), '-map', '0:a', '-c', 'copy', '-f', 'framemd5', '-']
    lines = subprocess.run(decode, check=True, capture_output=True).stdout.splitlines()
    return b'\n'.join(line.split(b',')[-1] for line in lines if not line.startswith(b'#'))


@needs_ffmpeg
@pytest.mark.parametrize('suffix', ['.mov', '.mts'])
def test_size_rate_count_and_sound_are_kept(suffix: str, tmp_path: Path) -> None:
    source = made(tmp_path / f'in{suffix}', *TONE, '-metadata', 'title=A title', rate='24000/1001')
    out = tmp_path / f'out{suffix}'
    assert passed_through(source, out) == ['']
    (video, kinds), (before, _) = probed(out), probed(source)
    assert (video['width'], video['height']) == (64, 48)
    assert Fraction(video['r_frame_rate']) == Fraction(24000, 1001)
    assert video['nb_read_packets'] == before['nb_read_packets'] == '24'
    assert sorted(kinds) == ['audio', 'video']
    assert sound_of(out) == sound_of(source)
    difference = np.abs(np.stack(frames_of(out)).astype(np.int16) - np.stack(frames_of(source)))
    assert difference.mean() < 4
    if suffix != '.mts':
        assert b'A title' in out.read_bytes()
    assert [path.name for path in tmp_path.glob('.*')] == []


@needs_ffmpeg
@pytest.mark.parametrize(
    ('name', 'arguments', 'codec'),
    [
        ('in.webm', ('-c:v', 'libvpx', '-deadline', 'realtime'), 'vp9'),
        ('in.wmv', (), 'wmv2'),
    ],
)
def test_other_containers_get_codecs_that_belong_there(
    name: str, arguments: tuple[str, ...], codec: str, tmp_path: Path
) -> None:
    source = made(tmp_path / name, *arguments, rate='25')
    out = tmp_path / f'out{source.suffix}'
    passed_through(source, out)
    video, _ = probed(out)
    assert video['codec_name'] == codec
    assert len(frames_of(out)) == 25


@needs_ffmpeg
def test_odd_sizes_are_kept(tmp_path: Path) -> None:
    source = made(tmp_path / 'in.mkv', '-vf', 'format=yuv444p,crop=63:47', '-c:v', 'ffv1')
    passed_through(source, tmp_path / 'out.mkv')
    assert {frame.shape for frame in frames_of(tmp_path / 'out.mkv')} == {(47, 63, 3)}


@needs_ffmpeg
def test_a_turned_video_of_a_phone_comes_out_upright_and_not_turned_again(tmp_path: Path) -> None:
    plain = made(tmp_path / 'plain.mp4')
    ffmpeg('-i', plain, '-c', 'copy', '-metadata:s:v', 'rotate=90', tmp_path / 'in.mp4')
    passed_through(tmp_path / 'in.mp4', tmp_path / 'out.mp4')
    before, after = frames_of(tmp_path / 'in.mp4'), frames_of(tmp_path / 'out.mp4')
    assert after[0].shape == (64, 48, 3)
    assert np.abs(np.int16(after[3]) - np.int16(before[3])).mean() < 3
    video, _ = probed(tmp_path / 'out.mp4')
    assert (video['width'], video['height']) == (48, 64)
    assert 'rotat' not in json.dumps(video)


@needs_ffmpeg
@pytest.mark.parametrize(
    'tags', [(), ('-colorspace', 'bt709', '-color_primaries', 'bt709', '-color_trc', 'bt709', '-color_range', 'pc')]
)
def test_colours_and_their_tags_are_kept(tags: tuple[str, ...], tmp_path: Path) -> None:
    scale = 'scale=out_color_matrix=bt709:out_range=pc' if tags else 'null'
    ffmpeg('-f', 'lavfi', '-i', 'color=c=0xC83214:s=64x48:r=10:d=0.5', '-vf', scale, *tags, tmp_path / 'in.mp4')
    passed_through(tmp_path / 'in.mp4', tmp_path / 'out.mp4')
    shown = {}
    for name in ('in', 'out'):  # as ffmpeg shows it, not OpenCV
        ffmpeg('-i', tmp_path / f'{name}.mp4', '-frames:v', '1', tmp_path / f'{name}.png')
        picture = cv2.imread(str(tmp_path / f'{name}.png'))
        assert picture is not None
        shown[name] = np.int16(picture[20, 20])
    np.testing.assert_allclose(shown['out'], shown['in'], atol=4)
    video, _ = probed(tmp_path / 'out.mp4')
    assert [video.get(key) for key in ('color_space', 'color_primaries', 'color_transfer')] == (
        ['bt709'] * 3 if tags else [None] * 3
    )


@needs_ffmpeg
def test_late_pictures_stay_in_time_with_the_sound(tmp_path: Path) -> None:
    plain = made(tmp_path / 'plain.mkv')
    late = ('-itsoffset', '0.5', '-i', plain, *TONE[:4], '-map', '0:v', '-map', '1:a', '-c:v', 'copy', '-c:a', 'aac')
    ffmpeg(*late, tmp_path / 'in.mkv')
    passed_through(tmp_path / 'in.mkv', tmp_path / 'out.mkv')
    starts = [float(probed(tmp_path / name)[0]['start_time']) for name in ('in.mkv', 'out.mkv')]
    assert starts[1] == pytest.approx(starts[0], abs=0.06)
    assert starts[1] > 0.4


@needs_ffmpeg
def test_a_varying_rate_is_told(tmp_path: Path) -> None:
    vary = ('-vf', "select='lt(n,10)+not(mod(n,5))'", '-fps_mode', 'vfr')
    source = made(tmp_path / 'in.mp4', *vary, rate='30')
    (told, _) = passed_through(source, tmp_path / 'out.mp4')
    assert 'varying rate' in told
    assert len(frames_of(tmp_path / 'out.mp4')) == len(frames_of(source)) == 14


@needs_ffmpeg
def test_a_trimmed_clip_is_whole_though_its_file_counts_the_hidden_frames(tmp_path: Path) -> None:
    whole = made(tmp_path / 'whole.mp4', '-g', '10')
    ffmpeg('-ss', '0.5', '-i', whole, '-c', 'copy', tmp_path / 'trimmed.mp4')
    video, _ = probed(tmp_path / 'trimmed.mp4')
    assert int(video['nb_frames']) == 10, 'an edit list hides the first five'
    assert passed_through(tmp_path / 'trimmed.mp4', tmp_path / 'out.mp4') == ['']
    assert len(frames_of(tmp_path / 'out.mp4')) == len(frames_of(tmp_path / 'trimmed.mp4')) < 8


@needs_ffmpeg
def test_a_cut_off_video_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    source = made(tmp_path / 'in.mp4', '-movflags', '+faststart', '-g', '1', size='320x240')
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(UserError, match=r'ends after \d of 10 frames'):
        passed_through(source, tmp_path / 'out.mp4')
    assert [path.name for path in tmp_path.iterdir()] == ['in.mp4']


@needs_ffmpeg
def test_what_ffmpeg_cannot_do_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made(tmp_path / 'in.mp4')
    with (
        pytest.raises(UserError, match='ffmpeg cannot write such a video'),
        video_to(tmp_path / 'out.xyz', 64, 48, VideoSource(source)),
    ):
        raise AssertionError
    real = shutil.which('ffmpeg')
    (tmp_path / 'bin').mkdir()
    stops = tmp_path / 'bin' / 'ffmpeg'
    stops.write_text(f'#!/bin/sh\ncase "$*" in *pipe:0*) echo no space >&2; exit 1;; esac\nexec {real} "$@"\n')
    stops.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}:{Path(real or "").parent}')
    with pytest.raises(UserError, match=r'ffmpeg .*no space'):
        passed_through(source, tmp_path / 'out.mp4')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['bin', 'in.mp4']


@pytest.fixture
def opencvs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A video made without ffmpeg, which then is not there."""
    path = tmp_path / 'in.mp4'
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*'mp4v'), 30000 / 1001, (64, 48))
    for place in range(12):
        writer.write(np.full((48, 64, 3), 20 * place, np.uint8))
    writer.release()
    monkeypatch.setenv('PATH', str(tmp_path))
    return path


@pytest.mark.parametrize('suffix', ['.mp4', '.mov', '.mkv', '.avi'])
def test_opencv_writes_where_ffmpeg_is_not(suffix: str, opencvs: Path, tmp_path: Path) -> None:
    assert passed_through(opencvs, tmp_path / f'out{suffix}') == ['sound']
    frames = frames_of(tmp_path / f'out{suffix}')
    assert len(frames) == 12
    np.testing.assert_allclose([frame.mean() for frame in frames], [20 * place for place in range(12)], atol=8)
    assert float(VideoSource(tmp_path / f'out{suffix}').facts.rate) == pytest.approx(30000 / 1001, abs=0.002)


def test_what_opencv_cannot_write_is_refused(opencvs: Path, tmp_path: Path) -> None:
    for name, size, told in (('out.mp4', (63, 48), 'odd size'), ('out.xyz', (64, 48), 'without ffmpeg')):
        with (
            pytest.raises(UserError, match=told),
            video_to(tmp_path / name, *size, VideoSource(opencvs)),
        ):
            raise AssertionError
    assert [path.name for path in tmp_path.iterdir()] == ['in.mp4']


def test_no_video_and_playlists_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'noise.mp4').write_bytes(np.random.default_rng(0).bytes(4096))
    (tmp_path / 'list.mp4').write_text('#EXTM3U\n/etc/passwd\n')
    with pytest.raises(UserError, match='cannot be read as a video'):
        VideoSource(tmp_path / 'noise.mp4')
    with pytest.raises(UserError, match='no video'):
        VideoSource(tmp_path / 'list.mp4')


@needs_ffmpeg
def test_fields_in_the_header_of_an_avi_are_no_missing_frames(tmp_path: Path) -> None:
    made(tmp_path / 'in.mp4', *TONE, '-c:v', 'libx264', rate='25')
    ffmpeg('-i', tmp_path / 'in.mp4', '-map', '0:v', '-c', 'copy', tmp_path / 'in.avi')
    before, _ = probed(tmp_path / 'in.avi')
    assert (before['nb_frames'], before['nb_read_packets']) == ('50', '25')
    assert passed_through(tmp_path / 'in.avi', tmp_path / 'out.avi') == ['']
    video, _ = probed(tmp_path / 'out.avi')
    assert (video['nb_read_packets'], float(video['duration'])) == ('25', 1)


@needs_ffmpeg
def test_an_avi_of_an_even_rate_is_said_to_be_even_and_its_sound_stays_as_long(tmp_path: Path) -> None:
    made(tmp_path / 'frames.mp4', *TONE, '-c:v', 'libx264', rate='25')  # with B-frames: a gap of one at the start
    mp3 = ('-c:v', 'mpeg4', '-bf', '1', '-c:a', 'libmp3lame')
    ffmpeg('-i', tmp_path / 'frames.mp4', *mp3, tmp_path / 'in.avi')
    assert passed_through(tmp_path / 'in.avi', tmp_path / 'out.avi') == ['']
    lengths = []
    for name in ('in.avi', 'out.avi'):
        asked = ['ffprobe', '-v', 'error', '-select_streams', 'a', '-show_entries', 'stream=duration', '-of', 'json']
        said = json.loads(subprocess.run([*asked, tmp_path / name], check=True, capture_output=True).stdout)
        lengths.append(float(said['streams'][0]['duration']))
    assert lengths[1] == pytest.approx(lengths[0], abs=0.03)


@needs_ffmpeg
def test_a_matroska_file_that_ends_before_its_time_is_refused(tmp_path: Path) -> None:
    source = made(tmp_path / 'in.mkv', '-c:v', 'ffv1', rate='25')
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(UserError, match=r'ends after 0\.\d+ of 1\.00 seconds'):
        VideoSource(source)
    # sound that goes on after the pictures is no such thing
    ffmpeg('-i', made(tmp_path / 'short.mkv'), *TONE[:3], 'sine=duration=3', '-c:v', 'copy', tmp_path / 'long.mkv')
    assert VideoSource(tmp_path / 'long.mkv').facts.announced == 10


@needs_ffmpeg
def test_why_a_file_is_no_video_is_said_once_and_by_its_reason(tmp_path: Path) -> None:
    ffmpeg(*TONE, tmp_path / 'sound.mp4')
    made(tmp_path / 'cut.mp4')
    (tmp_path / 'cut.mp4').write_bytes((tmp_path / 'cut.mp4').read_bytes()[:2000])
    (tmp_path / 'text.mp4').write_text('text')
    for name, why in (('sound.mp4', 'no stream of pictures'), ('cut.mp4', 'moov atom not found'), ('text.mp4', 'text')):
        with pytest.raises(UserError, match=why) as caught:
            VideoSource(tmp_path / name)
        assert name not in str(caught.value)
        assert 'OpenCV' not in str(caught.value)
        assert 'out.mp4' not in str(caught.value)


def test_without_ffmpeg_opencv_is_silent_of_what_is_no_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'noise.mp4').write_bytes(np.random.default_rng(0).bytes(4096))
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(UserError, match=r'cannot be read as a video \(OpenCV') as caught:
        VideoSource(tmp_path / 'noise.mp4')
    assert 'noise.mp4' not in str(caught.value)
    assert 'WARN' not in capfd.readouterr().err


@pytest.mark.parametrize('full', [True, False])
def test_a_full_disk_is_told_from_other_ends_of_ffmpeg(full: bool) -> None:
    writer = _FfmpegWriter.__new__(_FfmpegWriter)
    writer._log = tempfile.TemporaryFile()  # noqa: SIM115
    writer._log.write(b'Error writing trailer: No space left on device\n' if full else b'Invalid argument\n')
    failure = writer._failed()
    if full:
        assert isinstance(failure, OSError)
        assert failure.errno == errno.ENOSPC
    else:
        assert isinstance(failure, UserError)
        assert 'ffmpeg stopped (Invalid argument)' in str(failure)
