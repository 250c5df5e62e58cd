"""What is run, what is not run again, and what comes out; the trainings themselves are made up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from b2b_basicsr.errors import UserError
from b2b_basicsr.gain import recipes
from b2b_basicsr.gain.run import Asked, run_gain
from b2b_basicsr.stage_process import StageError
from tests.gain.conftest import Bench
from tests.gain.fake_pipeline import PSNR, FakePipeline

NAMES = [
    'deblur_horizontal_seed0',
    'translate_defocus_to_horizontal_recipe_seed0',
    'oracle_defocus_from_horizontal_seed0',
    'score_oracle_defocus_from_horizontal_seed0',
    'score_defocus_to_horizontal_recipe_seed0',
]


def _options(tmp_path: Path, name: str) -> dict[str, object]:
    found = yaml.safe_load((tmp_path / 'out' / 'options' / f'{name}.yml').read_text())
    assert isinstance(found, dict)
    return found


def test_all_stages_in_order_and_their_row(bench: Bench, pipeline: FakePipeline, said: list[str]) -> None:
    (row,) = bench()
    assert pipeline.ran == [('test' if 'score' in name else 'train', name, False) for name in NAMES]
    assert (row.camera, row.known, row.variant, row.seed, row.size) == ('defocus', 'horizontal', 'recipe', 0, 'tiny')
    assert row.gain == pytest.approx(PSNR['restored'] - PSNR['direct'])
    assert row.gap_closed == pytest.approx(2.5 / 4)
    assert row.harm == pytest.approx(0.2)
    assert row.means['blurry'] == {'psnr': PSNR['blurry'], 'ssim': pytest.approx(0.6)}
    assert len(row.pictures) == 2
    assert set(row.pictures.values()) == {2.5}
    assert row.seconds.keys() == {'data', 'deblur', 'translate', 'oracle', 'score'}
    assert {'torch', 'b2b_basicsr', 'date', 'processor'} <= row.machine.keys()
    assert row.iteration == recipes.SIZES['tiny'].changes['translate']['train:total_iter']
    assert said[0] == '7 stages to do'
    assert said[-2].startswith('[7/7] score, defocus to horizontal, recipe, seed 0: done in ')


def test_what_is_done_is_not_done_again(bench: Bench, pipeline: FakePipeline, tmp_path: Path, said: list[str]) -> None:
    first = bench()
    page = tmp_path / 'out' / 'index.html'
    before = page.stat().st_mtime_ns
    pipeline.ran.clear()
    said.clear()
    assert bench(photos=None, size=None) == first
    assert (pipeline.ran, said, page.stat().st_mtime_ns) == ([], [], before)


def test_cameras_share_the_deblurrer_and_seeds_do_not(bench: Bench, pipeline: FakePipeline) -> None:
    rows = bench('shake', 'defocus', seeds=(0, 3))
    assert [(row.camera, row.seed) for row in rows] == [('defocus', 0), ('defocus', 3), ('shake', 0), ('shake', 3)]
    assert [name for name in pipeline.names if name.startswith('deblur_')] == [
        'deblur_horizontal_seed0',
        'deblur_horizontal_seed3',
    ]


def test_a_stopped_training_goes_on(bench: Bench, pipeline: FakePipeline, tmp_path: Path) -> None:
    pipeline.stops = NAMES[1]
    with pytest.raises(KeyboardInterrupt):
        bench()
    seconds = json.loads((tmp_path / 'out' / 'experiments' / NAMES[1] / 'stage.json').read_text())['seconds']
    pipeline.stops = ''
    pipeline.ran.clear()
    (row,) = bench()
    assert pipeline.ran[0] == ('train', NAMES[1], True)
    assert pipeline.names == NAMES[1:]
    assert row.seconds['translate'] > seconds


def test_a_failed_stage_says_where_its_log_is(bench: Bench, pipeline: FakePipeline, tmp_path: Path) -> None:
    pipeline.fails = NAMES[2]
    with pytest.raises(StageError, match=r'oracle, defocus from horizontal, seed 0 ended .*logs/oracle_defocus'):
        bench()
    assert not (tmp_path / 'out' / 'results.json').exists()


def test_a_torn_checkpoint_is_not_done(bench: Bench, pipeline: FakePipeline, tmp_path: Path) -> None:
    bench()
    torn = tmp_path / 'out' / 'experiments' / NAMES[0] / 'models' / 'net_g_latest.pth'
    torn.write_bytes(torn.read_bytes()[:20])
    pipeline.ran.clear()
    bench()
    assert pipeline.ran == [('train', NAMES[0], True)]


def test_other_options_are_told_and_keep_the_old_experiment(
    bench: Bench, pipeline: FakePipeline, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench()
    tiny = recipes.SIZES['tiny']
    changes = {**tiny.changes, 'oracle': {**tiny.changes['oracle'], 'train:optim_g:lr': 0.5}}
    changed = recipes.Size(tiny.about, tiny.shorter_side, tiny.at_most, tiny.network_k, changes)
    monkeypatch.setitem(recipes.SIZES, 'tiny', changed)
    pipeline.ran.clear()
    said.clear()
    bench()
    assert pipeline.ran == [('train', NAMES[2], False), ('test', NAMES[3], False)]
    assert f'{NAMES[2]}: its options or pictures have changed; done anew, the old one is archived' in said
    experiments = [path.name for path in (tmp_path / 'out' / 'experiments').iterdir()]
    assert [name for name in experiments if name.startswith(f'{NAMES[2]}_archived_')] != []


def test_other_pictures_make_all_anew(
    bench: Bench, pipeline: FakePipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench()
    tiny = recipes.SIZES['tiny']
    monkeypatch.setitem(recipes.SIZES, 'tiny', recipes.Size(tiny.about, 64, 40, tiny.network_k, tiny.changes))
    pipeline.ran.clear()
    bench()
    assert pipeline.names == NAMES
    assert {path.name.partition('_archived_')[0] for path in (tmp_path / 'out' / 'data').glob('*_archived_*')} == {
        'horizontal',
        'defocus',
    }


@pytest.mark.parametrize(
    ('stages', 'missing'),
    [
        (('translate',), r'--stage translate: needs stage data \(defocus\), .*; add --stage data, or leave'),
        (('data', 'translate'), r'--stage translate: needs stage deblur \(deblur_horizontal_seed0\)'),
        (('score',), r'--stage score: needs stage data'),
    ],
)
def test_the_stage_that_is_missing_is_named(
    bench: Bench, pipeline: FakePipeline, stages: tuple[str, ...], missing: str
) -> None:
    with pytest.raises(UserError, match=missing):
        bench(stages=stages)
    assert pipeline.ran == []


def test_stages_one_by_one_and_the_oracle_last(bench: Bench, pipeline: FakePipeline, said: list[str]) -> None:
    bench(stages=('data', 'deblur'))
    assert pipeline.names == NAMES[:1]
    (row,) = bench(stages=('translate', 'score'))
    assert pipeline.names == [NAMES[0], NAMES[1], NAMES[4]]
    assert (row.gap_closed, 'oracle' in row.means) == (None, False)
    assert any(line.startswith(f'{NAMES[2]}: not trained yet, so results lack it') for line in said)
    (row,) = bench(stages=('oracle', 'score'))
    assert pipeline.names[3:] == [NAMES[2], NAMES[3]]
    assert row.gap_closed == pytest.approx(2.5 / 4)


def test_a_variant_shares_deblurrer_and_oracle(bench: Bench, pipeline: FakePipeline, tmp_path: Path) -> None:
    bench()
    pipeline.ran.clear()
    rows = bench(variants=('known_set',))
    assert [row.variant for row in rows] == ['known_set', 'recipe']
    assert pipeline.names == [name.replace('recipe', 'known_set') for name in (NAMES[1], NAMES[4])]
    options = _options(tmp_path, pipeline.names[0])
    assert options['datasets']['train']['dataroot_known'] == 'data/horizontal/blurry'  # type: ignore[index]
    assert 'synth_known_opt' not in options['datasets']['train']  # type: ignore[index]


def test_straight_to_sharp_takes_direct_from_the_recipe(bench: Bench, pipeline: FakePipeline, tmp_path: Path) -> None:
    (alone,) = bench(variants=('direct_unpaired',))
    assert 'network_deblur' not in _options(tmp_path, pipeline.names[1])
    assert (alone.gain, 'direct' in alone.means, alone.harm) == (None, False, None)
    assert alone.psnr('restored') == PSNR['restored']
    rows = bench(variants=('recipe', 'direct_unpaired'))
    beside = next(row for row in rows if row.variant == 'direct_unpaired')
    assert beside.gain == pytest.approx(2.5)
    assert beside.psnr('known_through_g') is None


def test_a_smaller_b(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from b2b_basicsr.gain.variants import VARIANTS, Variant

    monkeypatch.setitem(VARIANTS, 'b_3', Variant('B of 3 pictures', 'size of B', pictures=3))
    bench(variants=('b_3',))
    few = tmp_path / 'out' / 'data' / 'defocus_b_3' / 'blurry'
    assert len([*few.iterdir()]) == 3
    options = _options(tmp_path, 'translate_defocus_to_horizontal_b_3_seed0')
    assert options['datasets']['train']['dataroot_blur'] == 'data/defocus_b_3/blurry'  # type: ignore[index]
    monkeypatch.setitem(VARIANTS, 'b_30', Variant('B of 30 pictures', 'size of B', pictures=30))
    with pytest.raises(UserError, match=r'blurry: holds 4 pictures, and the variant takes 30; give more --photos'):
        bench(variants=('b_30',))


def test_a_pool_for_ratios(bench: Bench, tmp_path: Path) -> None:
    bench(variants=('ratio_20',))
    options = _options(tmp_path, 'translate_defocus_to_horizontal_ratio_20_seed0')
    train = options['datasets']['train']  # type: ignore[index]
    assert (train['dataroot_blur'], train['dataroot_sharp'], train['ratio']) == (
        'data/defocus_pool/pool_blurry',
        'data/defocus_pool/pool_sharp',
        0.2,
    )


def test_kernel_network_is_trained_where_k_comes_from_it(bench: Bench, pipeline: FakePipeline, tmp_path: Path) -> None:
    bench(variants=('kernel_network',), known=('vertical',))
    assert pipeline.names[:2] == ['deblur_vertical_seed0', 'kernel_vertical_seed0']
    options = _options(tmp_path, 'translate_defocus_to_vertical_kernel_network_seed0')
    assert options['network_k'] == _options(tmp_path, 'kernel_vertical_seed0')['network_g']
    path = options['path']
    assert path['pretrain_network_k'] == 'experiments/kernel_vertical_seed0/models/net_g_latest.pth'  # type: ignore[index]
    assert path['param_key_k'] == 'params_ema'  # type: ignore[index]
    assert path['pretrain_network_deblur'].startswith('experiments/deblur_vertical_seed0/')  # type: ignore[index]


def test_another_known_camera_has_its_own_shake(bench: Bench, tmp_path: Path) -> None:
    bench(known=('vertical',), seeds=(5,), stages=('data', 'deblur', 'translate'))
    options = _options(tmp_path, 'translate_defocus_to_vertical_recipe_seed5')
    assert options['manual_seed'] == 5
    shake = options['datasets']['train']['synth_known_opt']  # type: ignore[index]
    assert shake['angle'] == [86, 94]
    assert shake['read_noise'] == [0.002, 0.002]  # the target camera's


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'size': 'cpu'}, r'--size: .*out is of size tiny; give another -o for cpu'),
        ({'kernels': 'kernels.npz'}, r'--kernels: .*out was made with simulated kernels; give another -o'),
    ],
)
def test_nothing_is_mixed(bench: Bench, tmp_path: Path, settings: dict[str, str], message: str) -> None:
    bench(stages=('data',))
    if 'kernels' in settings:
        np.savez(tmp_path / 'kernels.npz', one=np.ones((5, 5)))
        settings = {'kernels': tmp_path / 'kernels.npz'}  # type: ignore[dict-item]
    with pytest.raises(UserError, match=message):
        bench(**settings)


def test_other_photographs_are_refused(bench: Bench, photos: Path) -> None:
    bench(stages=('data',))
    (photos / '03.png').rename(photos / 'other.png')
    with pytest.raises(
        UserError, match=r'photos is not the photographs that .*out was made of: it has 1 \(other.png\)'
    ):
        bench()


def test_measured_kernels_are_kept_and_not_asked_for_again(bench: Bench, tmp_path: Path) -> None:
    kernels = tmp_path / 'kernels.npz'
    np.savez(kernels, one=np.ones((5, 5)))
    (row,) = bench('shake', kernels=kernels)
    assert row.kernels != 'simulated'
    kernels.unlink()
    assert len(bench('shake', 'defocus')) == 2


def test_too_few_photographs_leave_nothing_behind(photos: Path, tmp_path: Path) -> None:
    for place in range(10):
        (photos / f'{place:02}.png').unlink()
    with pytest.raises(UserError, match=r'--photos: .* has 10 photographs; give 16 or more'):
        run_gain(tmp_path / 'out', photos, asked=Asked())
    assert not (tmp_path / 'out').exists()


def test_photographs_are_asked_for_before_anything_is_run(bench: Bench, pipeline: FakePipeline) -> None:
    bench(stages=('data', 'deblur'))
    pipeline.ran.clear()
    with pytest.raises(UserError, match=r'--photos: missing; the pictures of turning are still to be made'):
        bench('defocus', 'turning', photos=None)
    assert pipeline.ran == []


def test_merge_alone_runs_nothing(bench: Bench, pipeline: FakePipeline, tmp_path: Path) -> None:
    rows = bench()
    pipeline.ran.clear()
    other = tmp_path / 'other'
    merged = run_gain(other, merge=[tmp_path / 'out' / 'results.json'], say=lambda line: None)
    assert (merged, pipeline.ran) == (rows, [])
    assert (other / 'index.html').is_file()


def test_a_merged_row_is_not_measured_over(bench: Bench, tmp_path: Path) -> None:
    (row,) = bench()
    elsewhere = tmp_path / 'elsewhere.json'
    elsewhere.write_text(json.dumps({'rows': [{**row.model_dump(), 'gain': 9.0}]}))
    assert bench(merge=[elsewhere])[0].gain == 9.0
    assert bench()[0].gain == 9.0


def test_damaged_results_are_told_before_anything_is_run(bench: Bench, pipeline: FakePipeline, tmp_path: Path) -> None:
    bench()
    results = tmp_path / 'out' / 'results.json'
    results.write_text(results.read_text()[:-40])
    damaged = results.read_bytes()
    pipeline.ran.clear()
    with pytest.raises(UserError, match=r'results.json: damaged, or no results of b2b bench gain'):
        bench(seeds=(1,))
    assert (results.read_bytes(), pipeline.ran) == (damaged, [])
