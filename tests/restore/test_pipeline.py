from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import b2b_basicsr
from b2b_basicsr.archs.mimounet_arch import MIMOUNet, MIMOUNetPlus
from b2b_basicsr.archs.nafnet_arch import NAFNet
from b2b_basicsr.archs.nafnet_local_arch import NAFNetLocal
from b2b_basicsr.archs.patchgan_arch import PatchGANDiscriminator
from b2b_basicsr.errors import UserError
from b2b_basicsr.half_precision import multiplying_in
from b2b_basicsr.models.compilation import missing_for_compile
from b2b_basicsr.restore import pipeline as pipeline_module
from b2b_basicsr.restore import tile_size
from b2b_basicsr.restore.pipeline import Blur2BlurPipeline
from tests.golden_recipe import fill_weights

REPOSITORY = Path(__file__).resolve().parents[2]
SIZES: dict[str, Any] = {'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}


def translator() -> nn.Module:
    return fill_weights(MIMOUNet(num_res=1, base_channel=4)).eval()


def deblurrer() -> nn.Module:
    return fill_weights(NAFNetLocal(**SIZES)).eval()


def pipeline(**arguments: Any) -> Blur2BlurPipeline:
    return Blur2BlurPipeline(translator(), deblurrer(), device='cpu', **arguments)


def noise(height: int, width: int, dtype: Any = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(height * width).integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, True)


def expected(picture: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Restored, translated and directly deblurred, without the pipeline."""
    levels = float(np.iinfo(picture.dtype).max)
    x = torch.from_numpy(picture.astype(np.float32) / np.float32(levels)).permute(2, 0, 1)[None]
    with torch.no_grad():
        translated = translator()(x)[-1]
        results = deblurrer()(translated), translated, deblurrer()(x)
    in_levels = [one[0].permute(1, 2, 0).numpy().astype(np.float64) * levels for one in results]
    restored, translated_levels, direct = (np.rint(one.clip(0, levels)).astype(picture.dtype) for one in in_levels)
    return restored, translated_levels, direct


def assert_equal_levels(found: NDArray[Any], wanted: NDArray[Any]) -> None:
    """Up to a level where float32 falls on the other side of a half, or (16 bit) is not finer than that."""
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    difference = np.abs(found.astype(np.int64) - wanted.astype(np.int64))
    assert difference.max() <= 1
    assert difference.mean() < (0.01 if found.dtype == np.uint8 else 0.1)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize(('height', 'width'), [(1, 1), (1, 9), (37, 50), (64, 64)])
def test_arrays(height: int, width: int, dtype: Any) -> None:
    picture = noise(height, width, dtype)
    before = picture.copy()
    restored, translated, direct = expected(picture)
    one = pipeline()
    assert_equal_levels(one(picture), restored)
    both = one(picture, return_translated=True)
    assert_equal_levels(both[0], restored)
    assert_equal_levels(both[1], translated)
    assert_equal_levels(one(picture, translate=False), direct)
    assert np.array_equal(picture, before)
    if height * width > 100:
        assert not np.array_equal(restored, direct)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_views_and_read_only_arrays(dtype: Any) -> None:
    picture = noise(40, 30, dtype)
    picture.flags.writeable = False
    one = pipeline()
    turned = picture[::-1, ::-1]
    assert np.array_equal(one(turned), one(turned.copy()))
    assert one(turned).flags.c_contiguous


@pytest.mark.parametrize('shape', [(3, 21, 34), (1, 3, 21, 34), (2, 3, 8, 16)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.float16])
def test_tensors(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    picture = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    restored, translated = pipeline()(picture, return_translated=True)
    with torch.no_grad():
        wanted = translator()(picture.float().reshape(-1, *shape[-3:]))[-1]
    for found, right in ((translated, wanted), (restored, deblurrer()(wanted).detach())):
        assert found.dtype == dtype
        assert found.shape == shape
        assert not found.requires_grad
        tolerance = 1e-5 if dtype != torch.float16 else 1e-3
        assert torch.allclose(found.float(), right.clamp(0, 1).reshape(shape), atol=tolerance)


class Pointwise(nn.Module):
    """Each value by itself, so that tiles give what the whole picture gives. Remembers what it saw."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Any:
        self.seen.append(tuple(x.shape[-2:]))
        return self.function(x)


@pytest.mark.parametrize(
    ('function', 'wanted'),
    [
        (lambda x: x + 0.4 / 255, lambda levels: levels),
        (lambda x: x + 0.6 / 255, lambda levels: np.minimum(levels, 254) + 1),
        (lambda x: x + 2, lambda levels: levels * 0 + 255),
        (lambda x: x - 2, lambda levels: levels * 0),
        (lambda x: 1 - x, lambda levels: 255 - levels),
        (lambda x: [x * 0, 1 - x], lambda levels: 255 - levels),
    ],
)
@pytest.mark.parametrize('tile', [None, 32])
def test_rounding_clipping_and_the_last_of_several_outputs(
    function: Callable[[Tensor], Any], wanted: Callable[[NDArray[Any]], NDArray[Any]], tile: int | None
) -> None:
    levels = np.arange(256, dtype=np.uint8)[:, None, None].repeat(70, 1).repeat(3, 2)
    one = Blur2BlurPipeline(None, Pointwise(function), device='cpu', tile=tile, overlap=0)
    assert np.array_equal(one(levels), wanted(levels))


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_every_level_comes_back(dtype: Any) -> None:
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(16, -1, 1).repeat(3, 2)
    identity = Pointwise(lambda x: x)
    assert np.array_equal(Blur2BlurPipeline(identity, None, device='cpu', tile=None)(levels), levels)
    tiled = Blur2BlurPipeline(identity, None, device='cpu', tile=64, overlap=32)(levels)
    assert np.abs(tiled.astype(int) - levels).max() <= (0 if dtype == np.uint8 else 1)


@pytest.mark.parametrize('picture', [noise(150, 170), torch.rand(3, 150, 170), torch.rand(2, 3, 150, 170)])
def test_tiles_agree_with_the_whole_picture(picture: Any) -> None:
    local = fill_weights(NAFNetLocal(**SIZES, train_size=[1, 3, 16, 16]))
    whole = Blur2BlurPipeline(translator(), local, 'cpu', tile=None)(picture, return_translated=True)
    by_tiles = Blur2BlurPipeline(translator(), local, 'cpu', tile=96, overlap=64)
    tiled = by_tiles(picture, return_translated=True)
    alone = by_tiles(picture)
    assert (alone == tiled[0]).all()
    levels = 1 if isinstance(picture, Tensor) else 255
    for one, other in zip(whole, tiled, strict=True):
        error = float(((one / levels - other / levels) ** 2).mean())
        assert error < 1e-5  # 50 dB
        assert error > 0


def test_progress_is_told_in_rows_from_the_top() -> None:
    told: list[int] = []
    pipeline(tile=64, overlap=32)(noise(150, 40), progress=told.append)
    assert told == sorted(set(told))
    assert len(told) > 2
    assert told[-1] == 150
    told.clear()
    pipeline(tile=None)(noise(150, 40), progress=told.append)
    assert told == [150]


def test_one_network_alone() -> None:
    picture = noise(20, 30)
    _, translated, direct = expected(picture)
    no_deblurrer = Blur2BlurPipeline(translator(), None, device='cpu')
    assert_equal_levels(no_deblurrer(picture), translated)
    for one in no_deblurrer(picture, return_translated=True):
        assert_equal_levels(one, translated)
    no_translator = Blur2BlurPipeline(None, deblurrer(), device='cpu')
    assert_equal_levels(no_translator(picture), direct)
    with pytest.raises(UserError, match=r'^translate: without a deblurrer'):
        no_deblurrer(picture, translate=False)
    for one_pipeline, translate in ((no_translator, True), (pipeline(), False)):
        with pytest.raises(UserError, match=r'^return_translated: nothing is translated'):
            one_pipeline(picture, return_translated=True, translate=translate)
    with pytest.raises(UserError, match=r'^translator, deblurrer: both are missing'):
        Blur2BlurPipeline(None, None)


def test_the_same_network_twice() -> None:
    net = Pointwise(lambda x: 1 - x)
    picture = noise(20, 30)
    assert np.array_equal(Blur2BlurPipeline(net, net, device='cpu')(picture), picture)


def test_dropout_is_off_and_the_global_state_stays() -> None:
    net = fill_weights(MIMOUNetPlus(num_res=1, base_channel=4, drop=0.5)).train()
    one = Blur2BlurPipeline(net, None, device='cpu')
    picture = noise(40, 40)
    assert np.array_equal(one(picture), one(picture))
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ('picture', 'message'),
    [
        (np.zeros((4, 5), np.uint8), r'shape \[4, 5\]; give RGB'),
        (np.zeros((4, 5, 4), np.uint8), r'shape \[4, 5, 4\]; give RGB'),
        (np.zeros((1, 2, 3, 4, 3), np.uint8), r'shape \[1, 2, 3, 4, 3\]; give RGB'),
        (np.zeros((0, 5, 3), np.uint8), r'shape \[0, 5, 3\]'),
        (np.zeros((4, 5, 3), np.float32), 'array of float32; give uint8 or uint16'),
        (np.zeros((4, 5, 3), '>u2' if sys.byteorder == 'little' else '<u2'), 'array of [<>]u2|give uint8 or uint16'),
        (torch.zeros(4, 5), r'shape \[4, 5\]; give'),
        (torch.zeros(1, 4, 5), r'shape \[1, 4, 5\]; give'),
        (torch.zeros(2, 3, 0, 5), r'shape \[2, 3, 0, 5\]'),
        (torch.zeros(3, 4, 5, dtype=torch.uint8), r'tensor of torch.uint8; give floating point in \[0, 1\]'),
        ([[0]], 'a list; give a numpy array or a torch tensor'),
    ],
)
def test_pictures_that_are_none(picture: Any, message: str) -> None:
    with pytest.raises(UserError, match=f'^picture: .*({message})'):
        Blur2BlurPipeline(None, Pointwise(lambda x: x), device='cpu')(picture)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'tile': 0}, '^tile: 0: '),
        ({'tile': -64}, '^tile: -64: '),
        ({'tile': 64, 'overlap': 64}, '^tile: 64: overlap is 64'),
        ({'tile': 1.5}, '^tile: 1.5; give a whole number'),
        ({'tile': 'auot'}, "^tile: 'auot'; give a whole number"),
        ({'tile': True}, '^tile: True; give'),
        ({'overlap': -1}, '^overlap: -1; give'),
        ({'overlap': 500}, '^overlap: 500; an automatic tile may be as small as 256 pixels, so give 224 at most'),
        ({'device': 'cuda:99'}, "^device: 'cuda:99' is not there; there are cpu"),
        ({'device': 'nonsense'}, "^device: 'nonsense' is not there"),
        ({'device': 'meta'}, "^device: 'meta' is not there"),
        ({'precision': 'fp8'}, "^precision: 'fp8'; give fp32, bf16 or fp16"),
        ({'tile_batch': 0}, '^tile_batch: 0; give a whole number'),
        ({'tile_batch': True}, '^tile_batch: True; give a whole number'),
        ({'tile_batch': 'all'}, "^tile_batch: 'all'; give a whole number"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as failure:
        Blur2BlurPipeline(None, Pointwise(lambda x: x), **{'device': 'cpu', **arguments})
    assert '\n' not in str(failure.value)


def test_no_silent_fall_back_from_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert Blur2BlurPipeline(None, Pointwise(lambda x: x)).device == torch.device('cpu')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch, 'zeros', lambda *_, device: (_ for _ in ()).throw(RuntimeError(f'no {device}')))
    with pytest.raises(UserError, match=r"^device: 'cuda' is not there"):
        Blur2BlurPipeline(None, Pointwise(lambda x: x))


def test_networks_that_do_not_keep_the_size() -> None:
    with pytest.raises(UserError, match=r'^deblurrer: PatchGANDiscriminator makes \[1, 1, .* of \[1, 3, 64, 64\]'):
        Blur2BlurPipeline(None, PatchGANDiscriminator(num_feat=4), device='cpu')
    with pytest.raises(UserError, match=r'^translator: NAFNet cannot take a picture of .*64, 64'):
        Blur2BlurPipeline(NAFNet(img_channel=1, **SIZES), deblurrer(), device='cpu')


def test_automatic_tiles_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Pointwise(lambda x: x)
    one = Blur2BlurPipeline(None, net, device='cpu')
    small, large = np.zeros((736, 1280, 3), np.uint8), np.zeros((1025, 1024, 3), np.uint8)
    for picture in (small, large, small, torch.zeros(3, 1025, 1024)):
        net.seen.clear()
        one(picture)
        if picture is small:
            assert net.seen == [(736, 1280)]
        else:
            assert len(net.seen) > 1
            assert set(net.seen[0]) == {512}


@pytest.mark.parametrize(
    ('bytes_of_a_pixel', 'of_itself', 'free', 'wanted'),
    [
        (1000, 0, 80 << 30, 2048),
        (1000, 0, 2048 * 2048 * 1000, 1536),  # not all that is free
        (4000, 0, 2 << 30, 512),
        (4000, 0, 1380 * 10**6, 512),
        (4000, 300 << 20, 1 << 30, 256),
        (0, 300 << 20, 80 << 30, 2048),
        (4000, 0, 200 << 20, None),
    ],
)
def test_automatic_tiles_on_cuda(
    bytes_of_a_pixel: int, of_itself: int, free: int, wanted: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With stand-ins for torch's account of the memory, of which the networks take a part for each pixel."""
    held = 123 << 20
    peak = [0]
    monkeypatch.setattr(torch.cuda, 'memory_allocated', lambda _: held)
    monkeypatch.setattr(torch.cuda, 'reset_peak_memory_stats', lambda _: peak.__setitem__(0, held))
    monkeypatch.setattr(torch.cuda, 'max_memory_allocated', lambda _: peak[0])
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda _: (free, 80 << 30))
    monkeypatch.setattr(torch.cuda, 'empty_cache', lambda: None)
    zeros = torch.zeros
    monkeypatch.setattr(torch, 'zeros', lambda *shape, device: zeros(*shape))

    def run(tile: Tensor) -> None:
        peak[0] = max(peak[0], held + of_itself + bytes_of_a_pixel * tile.shape[-1] * tile.shape[-2])

    def automatic() -> int:
        device = torch.device('cuda')
        return tile_size.automatic_tile(tile_size.pixels_that_fit(run, device), device)

    if wanted is None:
        with pytest.raises(UserError, match=r'^tile: too little memory is free on cuda for a tile of 256'):
            automatic()
    else:
        assert automatic() == wanted


def out_of_memory_on_cuda(x: Tensor) -> Tensor:
    raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 3 GiB.\nAnd more lines')


@pytest.mark.parametrize('fail', [out_of_memory_on_cuda, lambda x: torch.empty(1 << 45)])
def test_out_of_memory_is_one_line(fail: Callable[[Tensor], Tensor]) -> None:
    net = Pointwise(lambda x: x)
    one = Blur2BlurPipeline(net, None, device='cpu', tile=64, overlap=16)
    net.function = fail
    with pytest.raises(UserError, match=r'^tile: out of memory on cpu \(tile is 64\); give a smaller') as failure:
        one(noise(100, 100))
    assert '\n' not in str(failure.value)


def test_from_files(tmp_path: Path) -> None:
    torch.save({'params': translator().state_dict()}, tmp_path / 'g.pth')
    torch.save({'params': deblurrer().state_dict()}, tmp_path / 'd.pth')
    (tmp_path / 'd.yml').write_text('network_deblur: {type: NAFNet, width: 4, enc_blk_nums: [1], dec_blk_nums: [1]}')
    files: dict[str, Any] = {'translator': tmp_path / 'g.pth', 'deblurrer': str(tmp_path / 'd.pth')}
    one = Blur2BlurPipeline.from_files(**files, device='cpu', tile=None, overlap=48)
    assert repr(one) == (
        'Blur2BlurPipeline(translator=MIMOUNet, deblurrer=NAFNetLocal, device=cpu, tile=None, overlap=48, '
        'tile_batch=auto, precision=fp32)'
    )
    picture = noise(33, 21)
    assert_equal_levels(one(picture), expected(picture)[0])
    described = Blur2BlurPipeline.from_files(**files, deblurrer_opt=tmp_path / 'd.yml', device='cpu')
    assert type(described.deblurrer) is NAFNet
    with pytest.raises(UserError, match=r"^translator_opt: 'd.yml' describes a translator, but none is given"):
        Blur2BlurPipeline.from_files(deblurrer=files['deblurrer'], translator_opt='d.yml')
    with pytest.raises(UserError, match=r"^deblurrer: no file 'nowhere.pth'"):
        Blur2BlurPipeline.from_files(deblurrer='nowhere.pth', device='cpu')


MEMORY_CODE = """
import numpy as np, torch
from torch import nn
from b2b_basicsr.restore.pipeline import Blur2BlurPipeline

def peak():
    return int(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]) << 10

torch.set_num_threads(1)
pipeline = Blur2BlurPipeline(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1), 'cpu', tile=128, overlap=32)
left = []
for height in (512, 4096):
    picture = np.full((height, 1024, 3), 100, np.uint8)
    result = pipeline(picture)
    left.append(peak() - picture.nbytes - result.nbytes)
    del picture, result
print(left[1] - left[0])
"""


@pytest.mark.skipif(sys.platform != 'linux', reason="reads Linux's /proc")
def test_memory_does_not_grow_with_the_picture() -> None:
    """Eight times the picture: less than half of what one copy of it would be in floating point."""
    done = subprocess.run(
        [sys.executable, '-c', MEMORY_CODE], cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=True
    )
    assert int(done.stdout) < 4096 * 1024 * 3 * 4 / 2


def test_the_package_has_it_and_is_still_imported_without_torch() -> None:
    assert b2b_basicsr.Blur2BlurPipeline is Blur2BlurPipeline
    assert not hasattr(b2b_basicsr, 'Other')
    code = "import sys, b2b_basicsr; print(sorted({'torch', 'numpy', 'basicsr'} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, '-S', '-c', code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, '[]')


def test_torch_is_given_no_read_only_array_of_which_it_would_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bool] = []
    real = torch.from_numpy

    def from_numpy(array: NDArray[Any]) -> Tensor:
        given.append(array.flags.writeable)
        return real(array)

    monkeypatch.setattr(torch, 'from_numpy', from_numpy)
    frame = np.frombuffer(bytes(40 * 40 * 3), np.uint8).reshape(40, 40, 3)
    Blur2BlurPipeline(nn.Identity(), None, device='cpu')(frame)
    assert given == [True]


def smooth(height: int, width: int) -> NDArray[Any]:
    """What photographs are like more than noise is."""
    wave = np.sin(np.arange(height)[:, None] / 9) * np.cos(np.arange(width) / 7)
    return (127.5 + 120 * np.stack([wave, wave[::-1], -wave], -1)).astype(np.uint8)


@pytest.mark.parametrize(('precision', 'decibels'), [('bf16', 50), ('fp16', 60)])
@pytest.mark.parametrize('tile', [None, 64])
def test_16_bits_come_near_to_32(precision: Any, decibels: float, tile: int | None) -> None:
    picture = smooth(80, 100)
    torch.manual_seed(0)
    # torch's own weights: networks that change a picture by little, as trained ones do
    nets = MIMOUNet(num_res=1, base_channel=4), NAFNetLocal(**SIZES)
    for name, parameter in nets[1].named_parameters():
        if name.endswith(('beta', 'gamma')):
            nn.init.constant_(parameter, 0.5)
    wanted = Blur2BlurPipeline(*nets, 'cpu', tile, 32)(torch.from_numpy(picture / 255).float().permute(2, 0, 1))
    one = Blur2BlurPipeline(*nets, 'cpu', tile, 32, precision=precision)
    found = one(torch.from_numpy(picture / 255).float().permute(2, 0, 1))
    assert found.dtype == torch.float32
    error = float((found - wanted).square().mean())
    assert 0 < error < 10 ** (-decibels / 10)
    assert np.abs(np.int16(one(picture)) - np.rint(wanted.permute(1, 2, 0).numpy() * 255)).max() <= 3
    assert repr(one).endswith(f'precision={precision})')


def test_the_networks_given_keep_their_precision_and_16_bit_copies_change_nothing() -> None:
    net = translator()
    one = Blur2BlurPipeline(net, None, device='cpu', precision='bf16')
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert one.translator is not None
    assert {parameter.dtype for parameter in one.translator.parameters()} == {torch.bfloat16}
    x = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        by_autocast = net(x)[-1]
    assert torch.equal(one(x), by_autocast.float().clamp(0, 1))


class PartlyIn32Bits(nn.Module):
    """As networks are that switch autocast off where numbers may grow large."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast('cpu', enabled=False):
            x = self.first(x.float())
        return self.second(x)


def weight_normed() -> nn.Module:
    return nn.utils.weight_norm(nn.Conv2d(3, 3, 3, padding=1))


def spectral_normed() -> nn.Module:
    net = nn.utils.spectral_norm(nn.Conv2d(3, 3, 3, padding=1))
    with torch.no_grad():
        net(torch.rand(1, 3, 8, 8))  # from here on it can be copied
    return net


@pytest.mark.filterwarnings('ignore:.*weight_norm.* is deprecated:FutureWarning')
@pytest.mark.parametrize('make', [PartlyIn32Bits, weight_normed, spectral_normed])
def test_networks_whose_weights_16_bits_do_not_suit_run_under_autocast_as_they_are(
    make: Callable[[], nn.Module],
) -> None:
    torch.manual_seed(0)
    net = make().eval()
    x = torch.rand(1, 3, 40, 40)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        by_autocast = net(x).float().clamp(0, 1)
    one = Blur2BlurPipeline(net, None, device='cpu', precision='bf16')
    assert torch.equal(one(x), by_autocast)
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    if make is spectral_normed:
        converted = multiplying_in(torch.bfloat16, copy.deepcopy(net))
        assert {parameter.dtype for parameter in converted.parameters()} == {torch.float32}


@pytest.mark.parametrize('picture', [noise(40, 100), torch.rand(3, 40, 100)])
def test_an_overflow_of_fp16_is_no_black_picture(picture: Any) -> None:
    net = nn.Conv2d(3, 3, 1)
    nn.init.constant_(net.weight, 6e4)
    assert Blur2BlurPipeline(None, net, device='cpu', precision='bf16')(picture).max() > 0
    with pytest.raises(UserError, match=r'^precision: fp16 overflows in these networks; give bf16 or fp32$'):
        Blur2BlurPipeline(None, net, device='cpu', precision='fp16', tile=64, overlap=0)(picture)


@pytest.mark.parametrize('tile', [None, 64])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_several_frames_at_once_give_what_each_gives(tile: int | None, dtype: Any) -> None:
    frames = np.stack([noise(70, 90, dtype), noise(70, 90, dtype)[::-1], noise(70, 90, dtype) // 2])
    one = pipeline(tile=tile, overlap=32)
    told: list[int] = []
    restored, translated = one(frames, return_translated=True, progress=told.append)
    assert told[-1] == 70
    for place, frame in enumerate(frames):
        alone = one(frame, return_translated=True)
        assert_equal_levels(restored[place], alone[0])
        assert_equal_levels(translated[place], alone[1])


def test_tiles_in_batches_give_what_they_give_alone() -> None:
    picture = noise(100, 330)
    net = Pointwise(lambda x: 1 - x)
    batches: list[int] = []
    net.register_forward_pre_hook(lambda _, given: batches.append(len(given[0])))
    one_by_one = Blur2BlurPipeline(None, net, 'cpu', tile=64, overlap=32)(picture)
    assert set(batches) == {1}
    batches.clear()
    assert np.array_equal(Blur2BlurPipeline(None, net, 'cpu', tile=64, overlap=32, tile_batch=4)(picture), one_by_one)
    assert max(batches) == 4
    batches.clear()
    two = Blur2BlurPipeline(None, net, 'cpu', tile=64, overlap=32, tile_batch=4)
    assert np.array_equal(two(np.stack([picture, picture]))[1], one_by_one)
    assert max(batches) == 4  # of them two frames
    assert (two.frames_at_once(100, 330), two.frames_at_once(64, 60)) == (1, 4)
    assert Blur2BlurPipeline(None, net, 'cpu').frames_at_once(64, 60) == 1


@pytest.mark.parametrize(
    ('fit', 'height', 'width', 'wanted'),
    [(10**9, 720, 1280, 4), (10**6, 720, 1280, 1), (10, 720, 1280, 1), (10**9, 2048, 2048, 1), (10**9, 256, 256, 64)],
)
def test_as_many_at_once_as_fit_and_keep_a_gpu_busy(fit: int, height: int, width: int, wanted: int) -> None:
    assert tile_size.automatic_batch(fit, height, width) == wanted


def test_compile_is_refused_where_there_is_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, 'missing_for_compile', lambda device: f'a compiler for {device}')
    with pytest.raises(UserError, match=r'^compile: torch.compile needs a compiler for cpu; install it, or leave'):
        pipeline(compile=True)
    pipeline()


def test_only_sizes_that_come_again_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[tuple[int, ...]] = []

    def backend(graph: Any, inputs: list[Any]) -> Any:
        compiled.append(next(tuple(one.shape) for one in inputs if one.ndim == 4 and one.shape[1] == 3))
        return graph.forward

    real = nn.Module.compile
    monkeypatch.setattr(nn.Module, 'compile', lambda self, **how: real(self, backend=backend, **how))
    monkeypatch.setattr(pipeline_module, 'missing_for_compile', lambda device: None)
    net = nn.Sequential(nn.Hardswish(), nn.Hardswish())
    one, plain = (Blur2BlurPipeline(None, net, 'cpu', tile=64, overlap=32, compile=yes) for yes in (True, False))
    picture = noise(100, 200)  # tiles of 64 x 64, and of 64 x 40 and so on at the edges
    first = one(picture)
    assert set(compiled) == {(1, 3, 64, 64)}
    assert np.array_equal(first, plain(picture))
    compiled.clear()
    for side in range(40, 52):  # each whole, and each once
        one(noise(side, side))
    assert compiled == []
    for side in range(40, 52):
        one(noise(side, side))
    assert [shape[-1] for shape in compiled] == [40, 41, 42]  # four sizes in all


def compiled_by(backend: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.compiler.reset()
    real = nn.Module.compile
    monkeypatch.setattr(nn.Module, 'compile', lambda self, **how: real(self, backend=backend, **how))
    monkeypatch.setattr(pipeline_module, 'missing_for_compile', lambda device: None)


def test_a_compiler_that_fails_is_told_once_and_costs_no_file(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[object] = []

    def backend(graph: Any, inputs: list[Any]) -> Any:
        calls.append(graph)
        raise RuntimeError('g++ is\nbroken')

    compiled_by(backend, monkeypatch)
    one = Blur2BlurPipeline(None, nn.Hardswish(), 'cpu', compile=True)
    plain = Blur2BlurPipeline(None, nn.Hardswish(), 'cpu')
    for side in (40, 40, 40, 50, 50):
        assert np.array_equal(one(noise(side, side)), plain(noise(side, side)))
    assert len(calls) == 1
    (told,) = (record.getMessage() for record in caplog.records if record.name == 'b2b_basicsr')
    assert told.startswith('compile: ')
    assert 'g++ is broken; this size' in told
    assert '\n' not in told


def test_a_pass_without_the_translator_does_not_make_a_size_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []

    def backend(graph: Any, inputs: list[Any]) -> Any:
        compiled.append(graph)
        return graph.forward

    compiled_by(backend, monkeypatch)
    one = Blur2BlurPipeline(nn.Hardswish(), nn.Hardtanh(), 'cpu', compile=True)
    for translate in (True, False):
        one(noise(40, 40), translate=translate)
    assert not compiled
    one(noise(40, 40))
    assert len(compiled) == 2


@pytest.mark.parametrize(
    ('tiles', 'most', 'wanted'),
    [(19, 16, 9), (20, 16, 10), (31, 16, 15), (7, 4, 3), (8, 4, 4), (3, 16, 3), (5, 1, 1), (1, 8, 1)],
)
def test_few_tiles_of_a_row_are_left_that_are_not_compiled(tiles: int, most: int, wanted: int) -> None:
    assert pipeline_module._with_least_rest(tiles, most) == wanted


def test_of_tiles_in_batches_one_size_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[tuple[int, ...]] = []

    def backend(graph: Any, inputs: list[Any]) -> Any:
        compiled.append(next(tuple(one.shape) for one in inputs if one.ndim == 4))
        return graph.forward

    compiled_by(backend, monkeypatch)
    given: dict[str, Any] = {'tile': 64, 'overlap': 32, 'tile_batch': 4}
    one, plain = (Blur2BlurPipeline(None, nn.Hardswish(), 'cpu', **given, compile=yes) for yes in (True, False))
    picture = noise(128, 256)  # seven tiles a row
    assert np.array_equal(one(picture), plain(picture))
    assert compiled == [(3, 3, 64, 64)]


def test_tiles_are_run_one_by_one_where_not_even_the_measured_ones_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Blur2BlurPipeline(None, Pointwise(lambda x: 1 - x), 'cpu', tile=64, overlap=32)

    def none_fits(run: Callable[[Tensor], object], device: torch.device) -> int:
        raise torch.cuda.OutOfMemoryError('CUDA out of memory')

    monkeypatch.setattr(pipeline_module, 'pixels_that_fit', none_fits)
    monkeypatch.setattr(one, 'device', torch.device('cuda'))
    assert one.frames_at_once(60, 60) == 1
    monkeypatch.setattr(one, 'tile', 'auto')
    with pytest.raises(UserError, match=r'^tile: too little memory is free on cuda'):
        one.frames_at_once(60, 60)


@pytest.mark.slow
@pytest.mark.skipif(missing_for_compile('cpu') is not None, reason='no compiler for torch.compile')
def test_compiled_networks_give_the_same() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Hardswish(), nn.Conv2d(4, 3, 3, padding=1), nn.Hardswish())
    keys = net.state_dict().keys()
    plain = Blur2BlurPipeline(copy.deepcopy(net), None, 'cpu')
    one = Blur2BlurPipeline(net, None, 'cpu', compile=True)
    picture = noise(40, 48)
    for _ in range(2):  # compiled when it comes again
        assert_equal_levels(one(picture), plain(picture))
    assert one.translator is net
    assert net.state_dict().keys() == keys


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_rounding_on_a_device_is_rounding_here(dtype: Any) -> None:
    band = torch.rand(2, 3, 40, 30, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    here = np.empty((2, 40, 30, 3), dtype)
    pipeline_module._write(band, here)
    levels = int(np.iinfo(dtype).max)
    there = pipeline_module._rounded_on_device(band, levels).numpy()
    assert np.array_equal(there, here)
    assert {0, levels} <= set(there.ravel().tolist())
