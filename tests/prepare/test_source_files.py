from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.source_files import Source, SourceFile, copy_stream, open_source
from b2b_basicsr.prepare.untrusted_members import LARGEST_PICTURE, SizeBound
from tests.prepare.published_archives import Kind, pack

MEMBERS = {'top/train/blur/a.png': b'first' * 400, 'top/train/sharp/a.png': b'second', 'top/readme.txt': b'text'}


def opened(path: Path, most: int = 10**9) -> Source:
    return open_source(path, SizeBound(most))


def contents(source: Source, wanted: Sequence[SourceFile] | None = None) -> dict[str, bytes]:
    found = {}
    for file, content in source.deliver(source.files if wanted is None else wanted):
        found['/'.join(file.parts)] = content.read_bytes() if isinstance(content, Path) else content.read()
    return found


def copy_all(path: Path) -> None:
    source = opened(path)
    for file, stream in source.deliver(source.files):
        assert not isinstance(stream, Path)
        copy_stream(file, stream, io.BytesIO())


def tar_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, 'w') as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return path


@pytest.mark.parametrize('kind', ['zip', 'tar', 'tar.gz', 'folder'])
def test_pictures_are_listed_and_delivered_whatever_the_container(tmp_path: Path, kind: Kind) -> None:
    path = pack(tmp_path, 'set', kind, MEMBERS)
    if kind != 'folder':
        path = path.rename(tmp_path / 'told_by_content')
    source = opened(path)
    assert contents(source) == {name: data for name, data in MEMBERS.items() if name.endswith('.png')}
    assert source.others == 1
    assert [file.size for file in source.files] == [2000, 6]
    assert contents(source, source.files[1:]) == {'top/train/sharp/a.png': b'second'}


@pytest.mark.parametrize('mode', ['w:bz2', 'w:xz'])
def test_other_compressions_of_tar_work(tmp_path: Path, mode: str) -> None:
    with tarfile.open(str(tmp_path / 'set'), mode) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo('blur/a.png')
        member.size = 5
        archive.addfile(member, io.BytesIO(b'bytes'))
    assert contents(opened(tmp_path / 'set')) == {'blur/a.png': b'bytes'}


HOSTILE = ['/etc/a.png', '../a.png', 'x/../../a.png', 'C:/a.png', 'c:a.png', '..\\a.png', '\\\\host\\a.png', 'x/..']


@pytest.mark.parametrize('kind', ['zip', 'tar', 'tar.gz'])
@pytest.mark.parametrize('name', HOSTILE)
def test_a_member_that_points_outside_condemns_the_archive(tmp_path: Path, kind: Kind, name: str) -> None:
    path = pack(tmp_path, 'set', kind, {'blur/good.png': b'x', name: b'y'})
    with pytest.raises(UserError, match='points outside the archive, so the whole archive is refused') as caught:
        opened(path)
    assert str(path) in str(caught.value)


def test_a_name_cut_by_a_nul_is_hostile(tmp_path: Path) -> None:
    path = tmp_path / 'set.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('blur/aXpng.png', b'x')
    path.write_bytes(path.read_bytes().replace(b'blur/aX', b'blur/a\0'))
    with pytest.raises(UserError, match='refused'):
        opened(path)


def test_links_and_devices_in_a_tar_are_counted_and_left(tmp_path: Path) -> None:
    members = []
    for place, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)):
        member = tarfile.TarInfo(f'blur/{place}.png')
        member.type, member.linkname = kind, '/etc/passwd'
        members.append(member)
    plain = tarfile.TarInfo('blur/plain.png')
    plain.size = 3
    source = opened(tar_of(tmp_path / 'set.tar', *members, plain))
    assert source.skipped_links == 4
    assert contents(source) == {'blur/plain.png': bytes(3)}


def test_links_in_a_zip_are_counted_and_left(tmp_path: Path) -> None:
    path = tmp_path / 'set.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        link = zipfile.ZipInfo('blur/link.png')
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, '/etc/passwd')
        archive.writestr('blur/plain.png', b'x')
    source = opened(path)
    assert source.skipped_links == 1
    assert list(contents(source)) == ['blur/plain.png']


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    folder = pack(tmp_path, 'set', 'folder', {'blur/a.png': b'x'})
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'secret.png').write_bytes(b'secret')
    (folder / 'blur' / 'link.png').symlink_to(tmp_path / 'elsewhere' / 'secret.png')
    (folder / 'sharp').symlink_to(tmp_path / 'elsewhere')
    source = opened(folder)
    assert list(contents(source)) == ['blur/a.png']
    assert source.skipped_links == 2


def test_a_members_claim_beyond_a_picture_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo('blur/a.png')
    member.size = LARGEST_PICTURE + 1
    path = tmp_path / 'set.tar'
    path.write_bytes(member.tobuf() + bytes(1024))
    with pytest.raises(UserError, match='more than a picture may have'):
        opened(path)


def test_a_bomb_is_refused_by_what_it_claims(tmp_path: Path) -> None:
    zeros = {f'blur/{place}.png': bytes(1_000_000) for place in range(5)}
    with zipfile.ZipFile(tmp_path / 'bomb.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in zeros.items():
            archive.writestr(name, content)
    assert (tmp_path / 'bomb.zip').stat().st_size < 10_000
    for path in (tmp_path / 'bomb.zip', pack(tmp_path, 'bomb', 'tar.gz', zeros)):
        assert len(opened(path, most=5_100_000).files) == 5
        with pytest.raises(UserError, match='raise --max-gb'):
            opened(path, most=4_999_999)


def test_the_bound_counts_all_archives_together(tmp_path: Path) -> None:
    bound = SizeBound(3000)
    open_source(pack(tmp_path, 'one', 'zip', MEMBERS), bound)
    with pytest.raises(UserError, match='--max-gb'):
        open_source(pack(tmp_path, 'two', 'zip', MEMBERS), bound)


def test_a_bomb_behind_the_end_of_a_tar_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path, 'set', 'tar', MEMBERS)
    packed = tmp_path / 'set.tar.gz'
    packed.write_bytes(gzip.compress(path.read_bytes() + bytes(3_000_000)))
    assert packed.stat().st_size < 10_000
    with pytest.raises(UserError, match='--max-gb'):
        opened(packed, most=1_000_000)


def test_a_tar_header_too_large_for_memory_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo('././@PaxHeader')
    member.type, member.size = tarfile.XHDTYPE, 2_000_000
    path = tmp_path / 'set.tar'
    huge = member.tobuf() + b'x' * 2_000_384
    path.write_bytes(tarfile.TarInfo('blur').tobuf() + huge + bytes(1024))
    with pytest.raises(UserError, match='a header of 2000000 bytes'):
        opened(path)
    path.write_bytes(huge + bytes(1024))
    with pytest.raises(UserError, match='a header of 2000000 bytes'):
        opened(path)


def pax_header(kind: bytes, **records: str) -> bytes:
    return tarfile.TarInfo._create_pax_generic_header(records, kind, 'utf-8')  # type: ignore[attr-defined]


def test_global_headers_of_a_tar_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / 'set.tar'
    globals_ = [pax_header(tarfile.XGLTYPE, **{f'K{place}': 'a' * 10_000}) for place in range(9)]
    folders = [tarfile.TarInfo(f'{place}').tobuf() for place in range(9)]
    pairs = [header + folder for header, folder in zip(globals_, folders, strict=True)]
    path.write_bytes(folders[0] + b''.join(pairs[:3]) + bytes(1024))
    assert opened(path).others == 4
    path.write_bytes(folders[0] + b''.join(pairs) + bytes(1024))
    with pytest.raises(UserError, match='70070 bytes of global headers'):
        opened(path)


@pytest.mark.parametrize('kind', [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_of_a_tar_in_a_row_are_bounded(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / 'set.tar'
    link = tarfile.TarInfo('x')
    link.type, link.size = kind, 512
    header = pax_header(kind, path='a.png') if kind == tarfile.XHDTYPE else link.tobuf() + b'a.png'.ljust(512, b'\0')
    path.write_bytes(tarfile.TarInfo('b').tobuf() + header + tarfile.TarInfo('c').tobuf() + bytes(1024))
    assert [file.parts for file in opened(path).files] == [('a.png',)]
    path.write_bytes(tarfile.TarInfo('b').tobuf() + header * 9 + tarfile.TarInfo('c').tobuf() + bytes(1024))
    with pytest.raises(UserError, match='too many headers before one member'):
        opened(path)


def test_a_header_of_a_size_below_zero_is_refused(tmp_path: Path) -> None:
    # tarfile would read to the end of the archive
    member = tarfile.TarInfo('x')
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, -1024
    path = tmp_path / 'set.tar'
    path.write_bytes(
        tarfile.TarInfo('b').tobuf() + member.tobuf(tarfile.GNU_FORMAT) + tarfile.TarInfo('c').tobuf() + bytes(1024)
    )
    with pytest.raises(UserError, match='a header of -1024 bytes'):
        opened(path)


def sparse_members() -> dict[str, bytes]:
    old = tarfile.TarInfo('blur/a.png')
    old.type = tarfile.GNUTYPE_SPARSE
    plain = tarfile.TarInfo('blur/a.png').tobuf()
    mapped = {
        '0.0': {'GNU.sparse.size': '9', 'GNU.sparse.numblocks': '1'},
        '0.1': {'GNU.sparse.map': '0,1,5,1'},
        '1.0': {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0'},
    }
    pax = {name: pax_header(tarfile.XHDTYPE, **records) + plain for name, records in mapped.items()}
    return {'old': old.tobuf(tarfile.GNU_FORMAT), **pax}


@pytest.mark.parametrize('form', ['old', '0.0', '0.1', '1.0'])
def test_sparse_members_are_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / 'set.tar'
    for before in (b'', tarfile.TarInfo('b').tobuf()):
        path.write_bytes(before + sparse_members()[form] + bytes(1024))
        with pytest.raises(UserError, match='a sparse file'):
            opened(path)


def test_a_bomb_of_headers_counts(tmp_path: Path) -> None:
    long_name = pax_header(tarfile.XHDTYPE, comment='a' * 500_000) + tarfile.TarInfo('b').tobuf()
    packed = tmp_path / 'set.tar.gz'
    packed.write_bytes(gzip.compress(long_name * 10 + bytes(1024)))
    assert packed.stat().st_size < 20_000
    with pytest.raises(UserError, match=r"with the headers of 'b' .* raise --max-gb"):
        opened(packed, most=1_000_000)


def test_a_large_file_of_another_kind_does_not_condemn_the_archive(tmp_path: Path) -> None:
    path = tmp_path / 'set.zip'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr('features.mat', b'x')
        archive.writestr('blur/a.png', b'y')
    content = path.read_bytes()
    place = content.index(b'PK\x01\x02') + 24  # the size in the central directory
    path.write_bytes(content[:place] + (LARGEST_PICTURE + 1).to_bytes(4, 'little') + content[place + 4 :])
    assert contents(opened(path)) == {'blur/a.png': b'y'}


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path, 'set', 'zip', {'blur/a.png': b'x'})
    content = bytearray(path.read_bytes())
    content[content.index(b'PK\x01\x02') + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match='is encrypted; unpack it'):
        opened(path)


@pytest.mark.parametrize('kind', ['zip', 'tar', 'tar.gz'])
@pytest.mark.parametrize('kept', [0.999, 0.7, 0.3, 0.05])
def test_a_cut_archive_is_found_out_before_anything_is_delivered(tmp_path: Path, kind: Kind, kept: float) -> None:
    noise = bytes(place * place * 7919 % 251 for place in range(5000))
    path = pack(tmp_path, 'set', kind, {f'blur/{place}.png': noise for place in range(4)})
    whole = path.read_bytes()
    end = 10240 if kind == 'tar' and kept > 0.99 else 0  # tar's padding is worth nothing
    path.write_bytes(whole[: int(kept * len(whole)) - end])
    with pytest.raises(UserError, match='cut off'):
        opened(path)


def test_a_tar_cut_between_two_members_is_found_out(tmp_path: Path) -> None:
    path = pack(tmp_path, 'set', 'tar', {f'blur/{place}.png': bytes(512) for place in range(4)})
    path.write_bytes(path.read_bytes()[: 2 * 1024])
    with pytest.raises(UserError, match='cut off'):
        opened(path)


def test_a_tar_with_a_spoilt_header_in_the_middle_is_found_out(tmp_path: Path) -> None:
    path = pack(tmp_path, 'set', 'tar', {f'blur/{place}.png': bytes(512) for place in range(4)})
    content = bytearray(path.read_bytes())
    content[2048:2060] = b'spoilt bytes'
    path.write_bytes(content)
    with pytest.raises(UserError, match='damaged'):
        opened(path)


@pytest.mark.parametrize('kind', ['zip', 'tar.gz'])
def test_spoilt_bytes_are_found_out_by_their_checksum(tmp_path: Path, kind: Kind) -> None:
    path = pack(tmp_path, 'set', kind, {'blur/a.png': bytes(range(256)) * 40})
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if kind == 'zip' else -6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match='damaged'):
        copy_all(path)


@pytest.mark.parametrize(('content', 'said'), [(b'12345', 'more bytes'), (b'123', 'fewer bytes')])
def test_a_member_other_than_claimed_is_refused(content: bytes, said: str) -> None:
    stream: IO[bytes] = io.BytesIO(content)
    target = io.BytesIO()
    with pytest.raises(UserError, match=said):
        copy_stream(SourceFile(Path('set.zip'), ('a.png',), 4), stream, target)
    assert len(target.getvalue()) <= 4


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (b'', 'neither zip nor tar'),
        (b'Rar!\x1a\x07\x01\x00', 'neither zip nor tar'),
        (b'PK\x03\x04rest', 'one piece of several'),
        (b'\x1f\x8b\x08', 'cut off'),
    ],
)
def test_what_is_no_archive_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / 'download').write_bytes(content)
    with pytest.raises(UserError, match=said):
        opened(tmp_path / 'download')
    with pytest.raises(UserError, match='no such file or folder'):
        opened(tmp_path / 'nowhere')


def test_hidden_files_are_left(tmp_path: Path) -> None:
    source = opened(
        pack(tmp_path, 'set', 'zip', {'__MACOSX/blur/._a.png': b'x', 'blur/.a.png': b'x', 'blur/a.png': b'y'})
    )
    assert list(contents(source)) == ['blur/a.png']


@pytest.mark.parametrize('kind', ['zip', 'tar', 'folder'])
@pytest.mark.parametrize('name', ['a\nb.png', 'a\x1b[31m.png', 'sc\tene/0.png'])
def test_names_with_control_characters_are_refused(tmp_path: Path, kind: Kind, name: str) -> None:
    """They would break lists of names, line by line, and reach terminals."""
    archive = pack(tmp_path, 'set', kind, {'ok.png': b'x', name: b'x'})
    with pytest.raises(UserError, match='has a control character') as refused:
        opened(archive)
    assert '\n' not in str(refused.value)
    assert '\x1b' not in str(refused.value)
