from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

from b2b_basicsr.bench.device_rates import start_convolutions, start_matrix_product
from b2b_basicsr.bench.plain_step import plain_step
from b2b_basicsr.bench.train_bench import FORMS, PLAIN, TrainBench, bench_batch, bench_model, flops_of_a_picture
from b2b_basicsr.commands.bench_command import bench
from b2b_basicsr.errors import UserError

TINY = TrainBench(forms=(PLAIN, 'fp32'), crop=96, tiny=True)


def test_forms_are_what_their_names_say() -> None:
    for name, options in FORMS.items():
        precision, _, way = name.partition('-')
        assert options.get('amp') == (precision if precision in ('bf16', 'fp16') else None)
        assert options.get('compile', False) == (way == 'compile')
        assert options.get('accum_iter', 1) == (2 if way == 'accum' else 1)
        assert ('channels_last' in options) == (name in (PLAIN, 'tf32'))


def test_forms_start_from_the_same_weights_and_take_the_same_step() -> None:
    torch.manual_seed(0)
    plain, batch = bench_model(TINY, FORMS[PLAIN], is_plain=True), bench_batch(TINY)
    torch.manual_seed(0)
    ours = bench_model(TINY, FORMS['fp32'], is_plain=False)
    wanted = plain_step(plain, batch)
    ours.feed_data(batch)
    ours.optimize_parameters(1)
    found = ours.get_current_log()
    assert {name: found[name] for name in wanted} == pytest.approx(dict(wanted), rel=1e-3)
    assert plain.optimizer_g.param_groups[0]['fused'] is False
    assert ours.optimizer_g.param_groups[0]['fused'] is True


def test_operations_grow_with_the_picture() -> None:
    small = flops_of_a_picture(TINY)
    large = flops_of_a_picture(TrainBench(forms=(PLAIN,), crop=192, tiny=True))
    assert 3.5 < large / small < 4.5


def test_unknown_forms_and_odd_batches_are_refused() -> None:
    with pytest.raises(UserError, match=r"--forms: 'fp8' is unknown; known are plain, "):
        TrainBench(forms=('fp8',))
    with pytest.raises(UserError, match=r"--forms: '' is unknown"):
        TrainBench(forms=('',))
    with pytest.raises(UserError, match='--forms: tf32 is of CUDA alone'):
        TrainBench(forms=('tf32',))
    with pytest.raises(UserError, match='fp32-accum halves the batch, but --batch is 3'):
        TrainBench(forms=('fp32-accum',), batch=3)


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_more_operations_take_more_time(precision: str) -> None:
    convolutions = [start_convolutions('cpu', precision, 1, 16, flops)() for flops in (1e9, 1e12)]
    products = [start_matrix_product('cpu', precision, flops)() for flops in (1e9, 1e12)]
    for little, much in (convolutions, products):
        assert 1e-6 < little < 10
        assert 100 < much / little < 10000


@pytest.mark.slow
def test_command_prints_ratios_and_json() -> None:
    options = ['train', '--tiny', '--crop', '96', '--rounds', '2', '--forms', 'plain,bf16', '--device', 'cpu', '--json']
    result = CliRunner().invoke(bench, options, catch_exceptions=False)
    assert result.exit_code == 0
    steps, rates = json.loads(result.stdout.splitlines()[-1])['tables']
    plain, bf16 = steps['rows']
    assert plain['x plain'] == 1
    assert bf16['x plain'] > 0
    assert 0 < plain['% of floor'] < 200
    assert [row['precision'] for row in rates['rows']] == ['fp32', 'bf16']
    assert all(row['3x3 convolutions, TFLOP/s'] > 0 for row in rates['rows'])
