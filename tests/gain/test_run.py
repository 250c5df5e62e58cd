"""What is run, what is not run again, and what comes out; the trainings themselves are made up."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml

from b2b_basicsr.errors import UserError
from b2b_basicsr.gain import photo_manifest, recipes, workplace
from b2b_basicsr.gain.results import Results
from b2b_basicsr.gain.run import Asked, run_gain
from b2b_basicsr.gain.stages import PipelineRun
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
    assert (pipeline.ran, page.stat().st_mtime_ns) == ([], before)
    assert said == ['Nothing to do: all of it is done already']


def test_cameras_share_the_deblurrer_and_seeds_do_not(bench: Bench, pipeline: FakePipeline) -> None:
    rows = bench('shake', 'defocus', seeds=(0, 3))
    assert [(row.camera, row.seed) for row in rows] == [('defocus', 0), ('defocus', 3), ('shake', 0), ('shake', 3)]
    assert [name for name in pipeline.names if name.startswith('deblur_')] == [
        'deblur_horizontal_seed0',
        'deblur_horizontal_seed3',
    ]


def test_two_seeds_are_of_one_training(bench: Bench, tmp_path: Path) -> None:
    rows = [*bench(seeds=(0, 1)), *bench(variants=('unet',))]
    by_variant = {variant: {row.trained_by for row in rows if row.variant == variant} for variant in ('recipe', 'unet')}
    assert [len(digests) for digests in by_variant.values()] == [1, 1]
    assert by_variant['recipe'] != by_variant['unet']


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


def test_a_training_killed_after_it_went_on_has_no_seconds(
    bench: Bench, pipeline: FakePipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.stops = NAMES[1]
    with pytest.raises(KeyboardInterrupt):
        bench()
    record = tmp_path / 'out' / 'experiments' / NAMES[1] / 'stage.json'
    assert record.is_file()
    with monkeypatch.context() as patch:
        patch.setattr(workplace.Workplace, '_note', lambda *_, **__: None)  # a killed process writes nothing
        with pytest.raises(KeyboardInterrupt):
            bench()
    pipeline.stops = ''
    assert 'translate' not in bench()[0].seconds


def test_what_the_system_refuses_is_told_by_its_name(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(file: Path) -> Callable[..., None]:
        def read(*_: object) -> None:
            raise PermissionError(errno.EACCES, 'Permission denied', str(file))

        return read

    photo = tmp_path / 'photos' / '03.png'
    monkeypatch.setattr('b2b_basicsr.gain.plan.make_known_sets', refused(photo))
    with pytest.raises(UserError, match=rf'pictures of horizontal: the system refused {photo} \(Permission denied\)'):
        bench(stages=('data',))
    monkeypatch.setattr('b2b_basicsr.gain.plan.make_known_sets', refused(tmp_path / 'out' / 'data' / 'x.png'))
    with pytest.raises(UserError, match=r'out: cannot be written at .*x.png'):
        bench(stages=('data',))


def test_usual_seconds_are_of_the_same_kind_alone(tmp_path: Path) -> None:
    seconds = {
        'results/score_a_to_b_recipe_seed0': 10.0,
        'results/score_oracle_a_from_b_seed0': 100.0,
        'results/score_a_to_b_recipe_seed0_archived_1': 1000.0,
    }
    for name, took in seconds.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / 'stage.json').write_text(json.dumps({'seconds': took}))
    place = workplace.Workplace(tmp_path, print)
    for name, usual in (('score_c_to_b_recipe_seed0', 10.0), ('score_oracle_c_from_b_seed0', 100.0)):
        assert place.usual_seconds(PipelineRun('score', 'test', {'name': name}, '', ())) == usual


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
    bench: Bench, pipeline: FakePipeline, tmp_path: Path, stages: tuple[str, ...], missing: str
) -> None:
    with pytest.raises(UserError, match=missing):
        bench(stages=stages)
    assert pipeline.ran == []
    assert not (tmp_path / 'out').exists()  # so that another --size may be its next one


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

    monkeypatch.setitem(VARIANTS, 'b_3', Variant('B of 3 pictures', pictures=3))
    bench(variants=('b_3',))
    few = tmp_path / 'out' / 'data' / 'defocus_b_3' / 'blurry'
    assert len([*few.iterdir()]) == 3
    options = _options(tmp_path, 'translate_defocus_to_horizontal_b_3_seed0')
    assert options['datasets']['train']['dataroot_blur'] == 'data/defocus_b_3/blurry'  # type: ignore[index]
    monkeypatch.setitem(VARIANTS, 'b_30', Variant('B of 30 pictures', pictures=30))
    monkeypatch.setitem(VARIANTS, 'b_7', Variant('B of 7 pictures', pictures=7))
    for photos in ({}, {'photos': None}):
        with pytest.raises(UserError, match=r'--variant b_30: size tiny has 4 blurry pictures; take a larger --size'):
            bench(variants=('b_30',), **photos)
    with pytest.raises(UserError, match=r'--variant b_7: .* has 4 blurry pictures of these photographs; give more -'):
        bench(variants=('b_7',))


def test_too_large_a_b_leaves_nothing_behind(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'--variant b_30: size tiny has 4 blurry pictures; take a larger --size'):
        bench(variants=('b_30',))
    assert not (tmp_path / 'out').exists()


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


def test_kernels_are_those_of_the_manifest(bench: Bench, pipeline: FakePipeline, tmp_path: Path) -> None:
    kernels, data = tmp_path / 'kernels', tmp_path / 'out' / 'data'
    with kernels.open('wb') as file:  # no extension
        np.savez(file, one=np.ones((5, 5)))
    data.mkdir(parents=True)
    np.save(data / 'kernels.npy', np.ones((7, 7)))  # left of a run that was killed
    (row,) = bench('shake', kernels=kernels)
    pipeline.ran.clear()
    assert (bench('shake'), pipeline.ran) == ([row], [])
    copy = data / 'kernels'
    copy.write_bytes(copy.read_bytes()[:-9])
    with pytest.raises(UserError, match=r'data: the kernel file it was made with is not there or damaged; give --kern'):
        bench('shake')
    assert (bench('shake', kernels=kernels), pipeline.ran) == ([row], [])
    assert copy.read_bytes() == kernels.read_bytes()


def test_kernels_left_over_are_not_taken_for_simulated_ones(bench: Bench, tmp_path: Path) -> None:
    data = tmp_path / 'out' / 'data'
    data.mkdir(parents=True)
    (data / 'kernels.npz').write_bytes(b'torn')
    (row,) = bench('shake')
    assert row.kernels == 'simulated'


@pytest.mark.parametrize(
    ('changes', 'message'),
    [({'size': 'huge'}, r"size 'huge' is none of tiny, "), ({'files': [1]}, 'files is no list of names and sizes')],
)
def test_a_damaged_manifest_is_told(bench: Bench, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    bench(stages=('data',))
    manifest = tmp_path / 'out' / 'data' / 'photographs.json'
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))
    with pytest.raises(UserError, match=rf'photographs\.json: cannot be read \({message}'):
        bench(size=None)


def test_lpips_is_measured_on_all_machines_or_on_none(
    bench: Bench, pipeline: FakePipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / 'alexnet.pth'
    weights.touch()
    for module in ('photo_manifest', 'run'):
        monkeypatch.setattr(f'b2b_basicsr.gain.{module}.lpips_weights', lambda: weights)
    (row,) = bench()
    for name in NAMES[3:]:
        assert 'lpips' in _options(tmp_path, name)['val']['metrics']  # type: ignore[index]
    weights.unlink()
    pipeline.ran.clear()
    assert (bench(), pipeline.ran) == ([row], [])
    with pytest.raises(UserError, match=r"measures LPIPS, and its weights are not here; put torchvision's alexnet at "):
        bench(seeds=(1,))
    assert pipeline.ran == []
    # Without them at the start they change nothing later.
    other = tmp_path / 'other'
    (without,) = run_gain(other, tmp_path / 'photos', size='tiny', asked=Asked(('defocus',)), say=lambda line: None)
    weights.touch()
    pipeline.ran.clear()
    again = run_gain(other, tmp_path / 'photos', asked=Asked(('defocus',)), say=lambda line: None)
    assert (again, pipeline.ran) == ([without], [])


def test_of_two_that_begin_one_folder_one_is_first(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)
    looked: list[int] = []
    read = photo_manifest.read_manifest

    def read_together(out: Path) -> photo_manifest.Manifest | None:
        found = read(out)
        if looked.count(threading.get_ident()) == 0:
            looked.append(threading.get_ident())
            both.wait(10)  # neither has begun it
        return found

    monkeypatch.setattr(photo_manifest, 'read_manifest', read_together)

    def begin(size: str) -> str:
        try:
            return photo_manifest.take_manifest(tmp_path / 'out', photos, None, size).size
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        ends = sorted(pool.map(begin, ('tiny', 'cpu')), key=len)
    assert ends[0] in ('tiny', 'cpu')
    assert re.fullmatch(r'--size: .*out is of size \w+; give another -o for \w+', ends[1])


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


def _change(results: Path, **values: object) -> None:
    rows = json.loads(results.read_text())['rows']
    results.write_text(json.dumps({'rows': [{**one, **values} for one in rows]}))


@pytest.mark.parametrize('part', ['score', 'oracle', 'deblur'])
def test_a_row_made_from_something_else_is_renewed(bench: Bench, tmp_path: Path, part: str) -> None:
    (row,) = bench()
    assert row.made_from.keys() == {'score', 'oracle', 'deblur'}
    results = tmp_path / 'out' / 'results.json'
    _change(results, gain=-7.0, made_from={**row.made_from, part: 'another'})
    assert bench() == [row]
    _change(results, gain=-7.0)
    assert bench()[0].gain == -7.0


def test_a_row_of_an_older_version_is_read_and_renewed(bench: Bench, tmp_path: Path) -> None:
    (row,) = bench()
    results = tmp_path / 'out' / 'results.json'
    old = {key: value for key, value in row.model_dump().items() if key not in ('made_from', 'measured_at')}
    results.write_text(json.dumps({'rows': [{**old, 'gain': -7.0}]}))
    assert bench() == [row]


def test_a_row_follows_its_test_that_is_done_again(bench: Bench, pipeline: FakePipeline, tmp_path: Path) -> None:
    bench()
    shutil.rmtree(tmp_path / 'out' / 'results' / NAMES[4])
    pipeline.better = {NAMES[1]: 0.5}
    # As if the run were killed between the test and its row.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Results, 'put', _interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench()
    assert Results(tmp_path / 'out').rows()[0].gain == pytest.approx(2.5)
    assert bench()[0].gain == pytest.approx(3.0)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_all_variants_follow_their_oracle(bench: Bench, tmp_path: Path) -> None:
    bench(variants=('recipe', 'l1'))
    shutil.rmtree(tmp_path / 'out' / 'results' / NAMES[3])
    before = {row.variant: row.measured_at for row in bench(stages=('data', 'deblur'))}
    after = {row.variant: row.measured_at for row in bench(variants=('known_set',))}
    assert all(after[variant] > before[variant] for variant in ('recipe', 'l1'))


def test_direct_is_not_taken_from_a_row_of_another_deblurrer(bench: Bench, tmp_path: Path) -> None:
    row = next(row for row in bench(variants=('recipe', 'direct_unpaired')) if row.variant == 'direct_unpaired')
    assert row.gain == pytest.approx(2.5)
    _change(tmp_path / 'out' / 'results.json', made_from={**row.made_from, 'deblur': 'another'})
    shutil.rmtree(tmp_path / 'out' / 'results' / NAMES[4])  # so that the recipe's row stays as it is
    alone = next(row for row in bench(variants=('direct_unpaired',), stages=('data',)) if row.variant != 'recipe')
    assert (alone.gain, 'direct' in alone.means) == (None, False)


def test_older_rows_are_not_merged_and_newer_ones_are_before_anything_runs(
    bench: Bench, pipeline: FakePipeline, tmp_path: Path, said: list[str]
) -> None:
    (row,) = bench()
    elsewhere = tmp_path / 'elsewhere.json'
    other = {**row.model_dump(), 'variant': 'l1', 'gain': 8.0}
    old = {**row.model_dump(), 'gain': 9.0, 'measured_at': '2020-01-01T00:00:00.000000+00:00'}
    elsewhere.write_text(json.dumps({'rows': [old, other]}))
    pipeline.fails = 'deblur_horizontal_seed1'
    with pytest.raises(StageError):
        bench(merge=[elsewhere], seeds=(1,))
    assert [(found.variant, found.gain) for found in Results(tmp_path / 'out').rows()] == [('l1', 8.0), ('recipe', 2.5)]
    assert f'--merge: 1 row left out; {tmp_path / "out" / "results.json"} has newer ones' in said


def test_the_page_is_renewed_if_a_run_fails_and_if_it_is_older(
    bench: Bench, pipeline: FakePipeline, tmp_path: Path
) -> None:
    pipeline.fails = 'translate_shake_to_horizontal_recipe_seed0'
    with pytest.raises(StageError):
        bench('defocus', 'shake')
    page = tmp_path / 'out' / 'index.html'
    assert page.is_file()
    os.utime(page, ns=(0, 0))
    bench()
    assert page.stat().st_mtime_ns > 0


def test_damaged_results_are_told_before_anything_is_run(bench: Bench, pipeline: FakePipeline, tmp_path: Path) -> None:
    bench()
    results = tmp_path / 'out' / 'results.json'
    results.write_text(results.read_text()[:-40])
    damaged = results.read_bytes()
    pipeline.ran.clear()
    with pytest.raises(UserError, match=r'results.json: damaged, or no results of b2b bench gain'):
        bench(seeds=(1,))
    assert (results.read_bytes(), pipeline.ran) == (damaged, [])


def test_a_size_may_take_one_camera_alone(pipeline: FakePipeline, tmp_path: Path, photos: Path) -> None:
    rows = run_gain(tmp_path / 'out', photos, size='tiny', say=lambda line: None)
    assert [one.camera for one in rows] == ['defocus']
