"""Wheel, source distribution and editable install, each in an environment of its own."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import textwrap
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from statistics import median

import pytest

from b2b_basicsr import __version__
from b2b_basicsr.shipped_options import shipped_option_files

REPOSITORY = Path(__file__).resolve().parents[1]
HOOK = 'b2b_basicsr_autoload.pth'

FINDERS = 'import sys; print([type(finder).__name__ for finder in sys.meta_path if "b2b" in type(finder).__module__])'


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Run a command in an environment without this session's settings; return its standard output."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(('B2B_', 'PYTHONPATH'))}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    assert 'Error processing line' not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the repository holds, so that no build leaves anything behind in it."""
    folder = tmp_path_factory.mktemp('sources') / 'checkout'
    folder.mkdir()
    for name in ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE', 'README.md'):
        if (REPOSITORY / name).is_file():
            shutil.copy(REPOSITORY / name, folder)
    for name in ('b2b_basicsr', 'options'):
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns('__pycache__'))
    return folder


@pytest.fixture(scope='module')
def wheel(sources: Path) -> Path:
    """The wheel, built by way of the source distribution, as an installer from an index would."""
    build = "from setuptools import build_meta; print(build_meta.{}('dist'))"
    (sources / 'dist').mkdir()
    name = run(sys.executable, '-c', build.format('build_sdist'), cwd=sources).splitlines()[-1]
    unpacked = sources.parent / 'unpacked'
    with tarfile.open(sources / 'dist' / name) as archive:
        # the documented way for Pythons with and without filters
        archive.extraction_filter = getattr(tarfile, 'data_filter', lambda member, path: member)
        archive.extractall(unpacked)
    (folder,) = unpacked.iterdir()
    (folder / 'dist').mkdir()
    name = run(sys.executable, '-c', build.format('build_wheel'), cwd=folder).splitlines()[-1]
    return folder / 'dist' / name


class Environment:
    """A virtual environment that also sees the packages of the running one, but none of its hooks."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.folder = folder
        self.python = folder / ('Scripts' if os.name == 'nt' else 'bin') / 'python'
        (self.packages,) = (path for path in folder.rglob('site-packages') if path.is_dir())
        (self.packages / 'outer.pth').write_text(sysconfig.get_path('purelib') + '\n')

    def pip(self, *arguments: object) -> None:
        run(self.python, '-m', 'pip', '--disable-pip-version-check', *arguments, cwd=self.folder)

    def __call__(self, code: str, **environment: str) -> str:
        return run(self.python, '-c', textwrap.dedent(code), cwd=self.folder, **environment).strip()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment without this package, with a small stand-in for basicsr that says what it was imported as."""
    made = Environment(tmp_path / 'environment')
    utils = made.packages / 'basicsr' / 'utils'
    utils.mkdir(parents=True)
    (utils.parent / '__init__.py').write_text('')
    (utils / '__init__.py').write_text('')
    return made


def assert_hooked(environment: Environment, package: Path) -> None:
    """Check that the environment watches for basicsr, brings in ``package`` for it, and can be told not to."""
    brought = 'import basicsr, sys; print(sys.modules["b2b_basicsr"].__file__)'
    assert environment(FINDERS) == "['Startup']"
    assert environment(brought) == str(package / '__init__.py')
    assert environment(FINDERS, B2B_BASICSR_AUTOLOAD='0') == '[]'
    assert environment('import basicsr, sys; print("b2b_basicsr" in sys.modules)', B2B_BASICSR_AUTOLOAD='0') == 'False'


def test_wheel_installed_and_uninstalled(environment: Environment, wheel: Path) -> None:
    before = sorted(environment.packages.rglob('*'))
    environment.pip('install', '--no-deps', '--no-index', wheel)
    assert_hooked(environment, environment.packages / 'b2b_basicsr')
    environment.pip('uninstall', '--yes', 'b2b-basicsr')
    assert not (environment.packages / HOOK).exists()
    assert environment(FINDERS) == '[]'
    assert sorted(path for path in environment.packages.rglob('*') if '__pycache__' not in str(path)) == before


@pytest.mark.parametrize('mode', ['lenient', 'strict'])
def test_editable_installed_and_uninstalled(environment: Environment, sources: Path, mode: str) -> None:
    environment.pip(
        'install', '--no-deps', '--no-index', '--no-build-isolation', '--config-settings', f'editable_mode={mode}',
        '--editable', sources,
    )  # fmt: skip
    links = sources / 'build'
    package = next(links.rglob('b2b_basicsr')) if mode == 'strict' else sources / 'b2b_basicsr'
    assert_hooked(environment, package)
    # One path in a .pth: setuptools' own import finder would cost every start of the interpreter far more than ours.
    assert list(environment.packages.glob('__editable__*finder*')) == []

    moved = sources.with_name('moved')
    sources.rename(moved)
    try:
        assert environment('import basicsr; print("quiet")') == 'quiet'
    finally:
        moved.rename(sources)
    environment.pip('uninstall', '--yes', 'b2b-basicsr')
    assert environment(FINDERS) == '[]'
    assert list(environment.packages.glob('*b2b*')) == []


def test_what_the_wheel_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(f'b2b_basicsr-{__version__}.dist-info/METADATA').decode()
        entry_points = archive.read(f'b2b_basicsr-{__version__}.dist-info/entry_points.txt').decode()
    top = {name.split('/')[0] for name in names}
    assert top == {'b2b_basicsr', HOOK, f'b2b_basicsr-{__version__}.dist-info'}
    assert 'b2b_basicsr/py.typed' in names
    assert any(name.endswith('LICENSE') for name in names)
    assert f'Version: {__version__}' in metadata
    (python,) = (line for line in metadata.splitlines() if line.startswith('Requires-Python: '))
    assert set(python.removeprefix('Requires-Python: ').replace(' ', '').split(',')) == {'>=3.10', '<3.13'}
    assert 'b2b = b2b_basicsr.commands.cli:main' in entry_points
    modules = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / 'b2b_basicsr').rglob('*.py')}
    assert modules <= set(names)


def imported_packages(folder: Path) -> set[str]:
    """Return the top-level names of others that the modules under ``folder`` import, wherever in a module."""
    names: set[str] = set()
    for path in folder.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import):
                names.update(alias.name.split('.')[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
                names.add(node.module.split('.')[0])
    return names - sys.stdlib_module_names - {'b2b_basicsr'}


def test_what_is_imported_is_declared(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f'b2b_basicsr-{__version__}.dist-info/METADATA').decode()
    requirements = re.findall(r'^Requires-Dist: ([\w.-]+)(.*)$', metadata, flags=re.MULTILINE)
    needed = {name.lower().replace('_', '-') for name, rest in requirements if 'extra ==' not in rest}
    for_the_demo = {name.lower() for name, rest in requirements if 'demo' in rest}
    distributions = packages_distributions()

    def undeclared(folder: Path, declared: set[str]) -> set[str]:
        return {
            name
            for name in imported_packages(folder)
            if not declared & {found.lower().replace('_', '-') for found in distributions[name]}
        }

    package = REPOSITORY / 'b2b_basicsr'
    brought_by_basicsr = {'opencv-python', 'opencv-python-headless'}
    assert undeclared(package / 'demo', needed | for_the_demo | brought_by_basicsr) == set()
    others = [folder for folder in package.iterdir() if folder.is_dir() and folder.name not in ('demo', '__pycache__')]
    assert {name for folder in others for name in undeclared(folder, needed | brought_by_basicsr)} == set()


def test_the_option_files_are_in_the_wheel_as_they_are(environment: Environment, wheel: Path) -> None:
    environment.pip('install', '--no-deps', '--no-index', wheel)
    output = environment("""
        from b2b_basicsr.shipped_options import shipped_option_files, shipped_schema
        for path in [*shipped_option_files(), shipped_schema()]:
            print(path)
    """)
    installed = list(map(Path, output.splitlines()))
    assert all(path.is_relative_to(environment.packages) for path in installed)
    assert {path.name: path.read_bytes() for path in installed} == {
        path.name: path.read_bytes() for path in (REPOSITORY / 'options').iterdir()
    }


def test_the_option_files_of_a_checkout() -> None:
    assert shipped_option_files() == sorted((REPOSITORY / 'options').glob('*.yml'))


def test_cost_of_a_start_without_basicsr(wheel: Path, tmp_path: Path) -> None:
    """Less than two milliseconds for a process that never imports basicsr, even if the ``.pth`` is run twice."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(HOOK, tmp_path)
    code = f"""
        import os, sys, time
        line = open({str(tmp_path / HOOK)!r}).read()
        start = time.thread_time()  # not the time that other processes take
        exec(line)
        exec(line)
        print(time.thread_time() - start)
        assert type(sys.meta_path[0]).__module__ == 'b2b_basicsr.startup'
        assert not any(name.startswith('b2b_basicsr') for name in sys.modules)
    """
    # Without the site module: as the interpreter is when it comes to the .pth files.
    seconds = [float(run(sys.executable, '-S', '-c', textwrap.dedent(code), cwd=tmp_path)) for _ in range(9)]
    assert median(seconds) < 0.002, seconds
