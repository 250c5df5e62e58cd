"""Builds and installs b2b-basicsr.

Beside the package, a wheel and an editable install carry ``b2b_basicsr_autoload.pth``, which makes every interpreter of
the environment watch for ``import basicsr`` (see ``b2b_basicsr/autoload.py``), and the wheel carries the option files
of ``options/`` as ``b2b_basicsr/option_files/``. All of it is listed in the wheel's RECORD, so ``pip uninstall`` takes
it away again.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import zipfile
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).resolve().parent

# One line, as a .pth file wants it. Sorts after __editable__*.pth, though it needs no path yet: it only watches.
AUTOLOAD_NAME = 'b2b_basicsr_autoload.pth'
STARTUP = (ROOT / 'b2b_basicsr' / 'startup.py').read_text(encoding='ascii')
AUTOLOAD_LINE = (
    "import os; os.environ.get('B2B_BASICSR_AUTOLOAD') == '0' or "
    f"exec({STARTUP!r}, {{'__name__': 'b2b_basicsr.startup'}})\n"
)

OPTION_FILES = [*sorted((ROOT / 'options').glob('*.yml')), ROOT / 'options' / 'b2b_options.schema.json']


class BuildWithAutoload(build_py):
    """Adds the ``.pth`` and the option files to what goes into a wheel."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        autoload, *option_files = self._added_outputs()
        autoload.write_text(AUTOLOAD_LINE, encoding='ascii')
        for source, target in zip(OPTION_FILES, option_files, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs: list[str] = super().get_outputs(include_bytecode)
        return outputs if self.editable_mode else [*outputs, *map(str, self._added_outputs())]

    def _added_outputs(self) -> list[Path]:
        build_lib = Path(self.build_lib)
        option_folder = build_lib / 'b2b_basicsr' / 'option_files'
        return [build_lib / AUTOLOAD_NAME, *(option_folder / file.name for file in OPTION_FILES)]


class EditableWheelWithAutoload(editable_wheel):
    """Adds the ``.pth`` to an editable install's wheel, whichever way that points to the checkout."""

    def run(self) -> None:
        super().run()
        for wheel in Path(self.dist_dir).glob('*-0.editable-*.whl'):
            add_to_wheel(wheel, AUTOLOAD_NAME, AUTOLOAD_LINE.encode('ascii'))


def add_to_wheel(wheel: Path, name: str, content: bytes) -> None:
    """Add a file to a built wheel, and to its RECORD, which stays the last member."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode('ascii')
    with zipfile.ZipFile(wheel) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist() if info.filename != name]
    with zipfile.ZipFile(wheel, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        for info, data in members:
            if info.filename.endswith('.dist-info/RECORD'):
                rows = [row for row in data.decode('utf-8').splitlines() if row and not row.startswith(f'{name},')]
                data = '\n'.join([f'{name},sha256={digest},{len(content)}', *rows, '']).encode('utf-8')
            archive.writestr(info, data)


def version() -> str:
    """Read the version without importing the package, which has more dependencies than a build."""
    source = (ROOT / 'b2b_basicsr' / '__init__.py').read_text(encoding='utf-8')
    match = re.search(r"^__version__ = '([^']+)'$", source, flags=re.MULTILINE)
    if match is None:
        raise SystemExit('b2b_basicsr/__init__.py: no line __version__ = ...')
    return match.group(1)


def readme() -> str:
    """Return the README, which also is the long description."""
    path = ROOT / 'README.md'
    return path.read_text(encoding='utf-8') if path.is_file() else ''


setup(
    name='b2b-basicsr',
    version=version(),
    description='Blur2Blur (CVPR 2024) for BasicSR: turns an unknown blur into one that a deblurrer knows',
    long_description=readme(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords=['computer vision', 'deblurring', 'image restoration', 'unpaired', 'BasicSR'],
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Image Processing',
    ],
    python_requires='>=3.10, <3.13',
    # Said in full, so that an editable install is one path in a .pth, not setuptools' import finder, whose own imports
    # would cost every interpreter start more than ours.
    package_dir={'': '.'},
    packages=find_packages(include=['b2b_basicsr', 'b2b_basicsr.*']),
    package_data={'': ['py.typed', '*.html', '*.j2', '*.css', '*.js', '*.json']},
    zip_safe=False,
    install_requires=[
        'basicsr>=1.4.2',
        'click',
        'einops',
        'filelock',
        'jinja2',
        'lmdb',
        'lpips',
        'markupsafe',
        'matplotlib',
        'numpy',
        'pillow',
        'pydantic>=2.7',
        'pydantic-core',
        'pyvips[binary]',
        'pyyaml',
        'safetensors',
        'scikit-image',
        'scipy',
        'spandrel>=0.4',
        'tabulate',
        'tifffile',
        'torch>=2.4',
        'torchvision',
        'tqdm',
        'typing_extensions',
    ],
    extras_require={
        'demo': ['scikit-learn'],
        'mmengine': ['mmengine'],
        'dev': [
            *('hypothesis', 'jsonschema', 'mmengine', 'mypy', 'pytest', 'ruff', 'selenium'),
            *('types-PyYAML', 'types-setuptools', 'types-tabulate', 'types-tqdm'),
        ],
    },
    entry_points={'console_scripts': ['b2b = b2b_basicsr.commands.cli:main']},
    cmdclass={'build_py': BuildWithAutoload, 'editable_wheel': EditableWheelWithAutoload},
)
