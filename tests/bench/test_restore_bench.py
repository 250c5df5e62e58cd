from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from b2b_basicsr.bench import plain_restore, restore_bench
from b2b_basicsr.bench.plain_restore import PlainRestorer
from b2b_basicsr.bench.restore_bench import RestoreBench, networks, sides
from b2b_basicsr.commands.bench_restore_command import restore
from b2b_basicsr.errors import UserError
from b2b_basicsr.restore import pipeline
from b2b_basicsr.restore.pipeline import Blur2BlurPipeline
from b2b_basicsr.restore.video_source import VideoSource


def test_the_command_prints_json_on_the_last_line() -> None:
    asked = ['--tiny', '--sizes', '0.01', '--forms', 'plain,bf16', '--rounds', '2', '--device', 'cpu', '--json']
    result = CliRunner().invoke(restore, asked)
    assert result.exit_code == 0, result.output
    (table,) = json.loads(result.stdout.splitlines()[-1])['tables']
    assert table['caption'].startswith('A picture of 144 x 96, 0.0138 megapixels: narrow networks, random weights, cpu')
    assert [row['form'] for row in table['rows']] == ['plain', 'bf16']
    for row in table['rows']:
        assert row['megapixels/s'] == pytest.approx(0.013824 / row['s'])
        assert row['peak GB'] > 0
    assert table['rows'][0]['x plain'] == 1
    assert 'A picture of 144 x 96' in result.stderr  # what comes, and how long it may take


@pytest.mark.parametrize(
    ('asked', 'told'),
    [
        (['--forms', 'fast'], "--forms: 'fast' is unknown; known are plain, "),
        (['--parts', 'all'], "--parts: 'all' is unknown"),
        (['--sizes', 'big'], "--sizes: 'big'; give numbers"),
        (['--sizes', '0'], '--sizes: give megapixels'),
        (['--widths', '1.5'], "--widths: '1.5'; give whole numbers"),
    ],
)
def test_mistakes_are_one_line(asked: list[str], told: str) -> None:
    result = CliRunner().invoke(restore, [*asked, '--device', 'cpu'])
    assert isinstance(result.exception, UserError)
    assert told in str(result.exception)


@pytest.mark.parametrize('shape', [(60, 90), (100, 170)])
def test_plain_restoring_gives_what_the_pipeline_gives(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (plain_restore, pipeline):
        monkeypatch.setattr(module, 'WHOLE_ON_CPU', 10000)
        monkeypatch.setattr(module, 'TILE_ON_CPU', 96)
    picture = restore_bench._pictures(1, *shape)[0]
    plain = PlainRestorer(*networks(4, tiny=True), 'cpu')(picture)
    ours = Blur2BlurPipeline(*networks(4, tiny=True), 'cpu')(picture)
    assert np.abs(np.int16(plain) - ours).max() <= 1


@pytest.mark.parametrize('part', ['files', 'video'])
def test_files_and_videos_are_restored_plainly_and_by_ours(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('PATH', '')  # OpenCV writes videos quicker than ffmpeg begins
    bench = RestoreBench(('plain', 'fp32'), sizes=(0.005,), parts=(part,), frames=3, tiny=True)
    (run,) = bench._runs(tmp_path)
    results: list[list[Any]] = []
    for form in bench.forms:
        run.start(form, 32, bench, *run.arguments)()
        written = sorted(path for path in tmp_path.rglob('*') if path.is_file() and path.parent.name == form)
        assert len(written) == (4 if part == 'files' else 1)
        results.append(
            [np.asarray(Image.open(path)) for path in written]
            if part == 'files'
            else list(VideoSource(written[0]).frames())
        )
    plain, ours = (np.stack(frames).astype(np.int16) for frames in results)
    assert plain.shape == ours.shape
    assert len(plain) == run.pictures
    assert np.abs(plain - ours).mean() < 2  # both through a lossy format
    assert run.megapixels == pytest.approx(plain[..., 0].size / 1e6)


def test_a_turn_on_a_gpu_is_the_mean_of_runs_after_one_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    now = [0.0]

    def run() -> None:
        now[0] += 5 if not said else 0.2  # the first run takes memory
        said.append('run')

    for name in ('synchronize', 'reset_peak_memory_stats'):
        monkeypatch.setattr(torch.cuda, name, lambda name=name: said.append(name))
    monkeypatch.setattr(time, 'perf_counter', lambda: now[0])
    seconds = restore_bench._turn(run, RestoreBench(('plain',), device='cuda'))()
    assert seconds == pytest.approx(0.2)
    assert said == ['run', 'synchronize', 'reset_peak_memory_stats', *['run', 'synchronize'] * 3]


def test_a_video_that_opencv_cannot_write_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='OpenCV cannot write a video here; leave the part video out'):
        restore_bench._write_video(tmp_path / 'nowhere' / 'in.mp4', 2, 64, 64)


def test_a_hidden_failure_is_no_figure(tmp_path: Path) -> None:
    bench = RestoreBench(('fp32',), parts=('files',), tiny=True)
    (run,) = bench._runs(tmp_path)
    shutil.rmtree(run.arguments[0][0].parent)
    with pytest.raises(RuntimeError, match='4 failed'):
        run.start('fp32', 32, bench, *run.arguments)()


def test_sizes() -> None:
    assert [sides(size) for size in (0.9, 8, 48)] == [(720, 1280), (2304, 3456), (5664, 8496)]
