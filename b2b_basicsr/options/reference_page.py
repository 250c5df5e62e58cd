"""``docs/options.md``: every key of our option files, made of the types that options are checked against."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from b2b_basicsr.options.constructor_section import plain_text
from b2b_basicsr.options.json_schema import json_schema

_INTRODUCTION = """# Options

Every key of an option file of Blur2BlurModel, DeblurModel and KernelWizardModel. The page is made of the types that
files are checked against when a training or test starts (`b2b options --reference > docs/options.md`).

- In the sections below an unknown key is an error, which names the nearest known one. So is a wrong type or value. The
  message says the file and the line, and names what else is wrong in the same part: first come all sections but data
  sets, networks, losses and metrics, and then these, one by one.
- `1e-4` is text in YAML: write `0.0001` or `!!float 1e-4`. It is so for `--force_yml`, too, whose values win over the
  file's: `--force_yml 'train:optim_g:lr=!!float 1e-4'`.
- A key that stands twice in one section is an error.
- Networks, losses, metrics and data sets of BasicSR, or of your own, may be named as `type`, too. A near
  miss of a key that they read is an error. So is any other that a network or a loss does not take; one that a data set
  does not read, or nobody at the top level, is a line in the log.
- Files that name none of our types are left alone.
- Editors check and complete the keys by a JSON schema: a file that begins with
  `# yaml-language-server: $schema=b2b_options.schema.json` finds it beside itself, where `b2b options --copy` lays both
  out. `b2b options --schema` prints it.

`~` is YAML's word for nothing. Keys without a default are needed.
"""


def reference_page() -> str:
    """What ``docs/options.md`` holds."""
    # Late, as all of torch and BasicSR comes with it.
    from b2b_basicsr.checks.section_types import known_losses, known_metrics, known_networks
    from b2b_basicsr.data.camera_shake import CameraShake
    from b2b_basicsr.data.crop_augmentation import CropAugmentation
    from b2b_basicsr.data.frame_mean import FrameMean
    from b2b_basicsr.data.known_noise import KnownNoise
    from b2b_basicsr.data.loader_options import (
        IoBackend,
        PairedFolderOptions,
        PairedFolderTrainOptions,
        PairedImageOptions,
        PairedImageTrainOptions,
        SingleFolderOptions,
        SingleImageOptions,
    )
    from b2b_basicsr.data.unpaired_blur_options import UnpairedBlurOptions
    from b2b_basicsr.models.blur2blur_options import PathOptions, TrainOptions
    from b2b_basicsr.models.deblur_options import DeblurTrainOptions
    from b2b_basicsr.models.kernel_wizard_options import KernelTrainOptions
    from b2b_basicsr.models.mixup import MixupOptions
    from b2b_basicsr.models.optimizer_options import (
        ConstantCosineOptions,
        CosineRestartOptions,
        LinearDecayOptions,
        MultiStepOptions,
        OptimizerOptions,
    )
    from b2b_basicsr.models.option_files import (
        Blur2BlurFile,
        DeblurFile,
        DistOptions,
        KernelWizardFile,
    )
    from b2b_basicsr.models.progressive_patches import PatchStage
    from b2b_basicsr.models.training_options import BasePathOptions, LoggerOptions, WandbOptions, WeightOptions
    from b2b_basicsr.models.val_options import RestorationValOptions, ValOptions

    page = _Page(json_schema()['$defs'])
    page.chapter('Top level')
    page.section('Blur2BlurModel', Blur2BlurFile)
    page.section('DeblurModel', DeblurFile, like=Blur2BlurFile)
    page.section('KernelWizardModel', KernelWizardFile, like=Blur2BlurFile)
    page.chapter('datasets')
    page.section('datasets: train, UnpairedBlurDataset', UnpairedBlurOptions)
    page.section('synth_known_opt', CameraShake)
    page.section('frame_mean_opt', FrameMean)
    page.section('known_noise_opt', KnownNoise)
    page.section('augment_opt', CropAugmentation)
    page.section('datasets: train, PairedFolderDataset', PairedFolderTrainOptions, like=UnpairedBlurOptions)
    page.section('datasets: train, PairedImageDataset', PairedImageTrainOptions, like=PairedFolderTrainOptions)
    page.section('datasets: val, PairedFolderDataset', PairedFolderOptions)
    page.section('datasets: val, SingleFolderDataset', SingleFolderOptions, like=PairedFolderOptions)
    page.section('datasets: val, PairedImageDataset', PairedImageOptions, like=PairedFolderOptions)
    page.section('datasets: val, SingleImageDataset', SingleImageOptions, like=SingleFolderOptions)
    page.section('io_backend', IoBackend)
    page.chapter('Networks')
    page.sections(known_networks())
    page.chapter('path')
    page.section('path of Blur2BlurModel', PathOptions)
    page.section('path of DeblurModel and KernelWizardModel', BasePathOptions, like=PathOptions)
    page.chapter('train')
    page.section('train of Blur2BlurModel', TrainOptions)
    page.section('train of DeblurModel', DeblurTrainOptions, like=TrainOptions)
    page.section('train of KernelWizardModel', KernelTrainOptions, like=TrainOptions)
    page.section('optim_g, optim_d', OptimizerOptions)
    for schedule in (LinearDecayOptions, ConstantCosineOptions, MultiStepOptions, CosineRestartOptions):
        page.section(f'scheduler, {schedule.__name__.removesuffix("Options")}', schedule)
    page.section('gp_opt, kl_opt', WeightOptions)
    page.section('progressive_patches', PatchStage)
    page.section('mixup_opt', MixupOptions)
    page.chapter('Losses')
    page.sections(known_losses())
    page.chapter('val')
    page.section('val of Blur2BlurModel and DeblurModel', RestorationValOptions)
    page.section('val of KernelWizardModel', ValOptions, like=RestorationValOptions)
    page.chapter('Metrics')
    page.sections(known_metrics())
    page.chapter('logger and dist_params')
    page.section('logger', LoggerOptions)
    page.section('wandb', WandbOptions)
    page.section('dist_params', DistOptions)
    return page.text()


class _Page:
    """Markdown of sections.

    Args:
        definitions: the JSON schema's.
    """

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._blocks: list[tuple[str, str, str]] = []  # the heading; of a section its definition, and one like it
        self._headings: dict[str, str] = {}

    def chapter(self, title: str) -> None:
        """A heading."""
        self._blocks.append((f'## {title}\n', '', ''))

    def sections(self, kinds: Mapping[str, type[BaseModel]]) -> None:
        """Several sections that a ``type`` chooses from; once each."""
        for kind in dict.fromkeys(kinds.values()):
            names = [name for name, each in kinds.items() if each is kind]
            self.section(', '.join(names), kind)

    def section(self, title: str, kind: type[BaseModel], like: type[BaseModel] | None = None) -> None:
        """A section's table; keys that are the same as another section's are named alone."""
        self._headings.setdefault(kind.__name__, title)
        self._blocks.append((f'### {title}\n', kind.__name__, '' if like is None else like.__name__))

    def text(self) -> str:
        """The page."""
        parts = [_INTRODUCTION]
        for heading, name, like in self._blocks:
            parts.append(heading)
            if name:
                rows, others = self._rows(name), self._rows(like) if like else {}
                same = [key for key, row in rows.items() if others.get(key) == row]
                parts.append(f'{self._definitions[name].get("description", "")}\n')
                besides = ' Besides:' if len(same) < len(rows) else ''
                if same:
                    parts.append(f'As in {self._link(like)}: {", ".join(f"`{key}`" for key in same)}.{besides}\n')
                if len(same) < len(rows):
                    parts.append('| key | what | default | meaning |\n| --- | --- | --- | --- |')
                    parts.append('\n'.join(row for key, row in rows.items() if key not in same) + '\n')
        return '\n'.join(parts)

    def _rows(self, name: str) -> dict[str, str]:
        section = self._definitions[name]
        required = section.get('required', ())
        rows = {}
        for key, value in sorted(section['properties'].items(), key=lambda item: item[0] != 'type'):
            default = '' if key in required else _code(value.get('default'))
            cells = (f'`{key}`', self._what(value), default, plain_text(value.get('description', '')))
            rows[key] = f'| {" | ".join(cell.replace("|", chr(92) + "|") for cell in cells)} |'
        return rows

    def _what(self, value: Mapping[str, Any]) -> str:
        """What may stand there, in words."""
        for several in ('anyOf', 'oneOf'):
            if several in value:
                return ', '.join(dict.fromkeys(self._what(each) for each in value[several]))
        if '$ref' in value:
            return self._link(value['$ref'].rpartition('/')[2])
        if 'const' in value:
            return _code(value['const'])
        if 'enum' in value:
            return ', '.join(map(_code, value['enum']))
        if value.get('type') == 'array':
            return self._list(value)
        if value.get('type') == 'object' and isinstance(value.get('additionalProperties'), dict):
            return f'name: {self._what(value["additionalProperties"])}'
        words = {'boolean': '`true`, `false`', 'integer': 'whole number', 'string': 'text', 'null': '`~`'}
        return ' '.join([words.get(value.get('type', ''), str(value.get('type', 'section'))), *_bounds(value)])

    def _list(self, value: Mapping[str, Any]) -> str:
        items = value['items']
        if isinstance(items, list):
            return f'two numbers {" ".join(_bounds(items[0]))}'.strip()
        least, most = value.get('minItems'), value.get('maxItems')
        how_many = f'{least} of ' if least is not None and least == most else ''
        return f'list of {how_many}{self._what(items)}'

    def _link(self, name: str) -> str:
        if name not in self._headings:
            return _CHAPTERS.get(name, 'section')
        heading = self._headings[name]
        return f'[{heading}](#{re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")})'


_CHAPTERS = {
    'NetworkSection': '[network](#networks)',
    'LossSection': '[loss](#losses)',
    'MetricOptions': '[metric](#metrics)',
}


def _bounds(value: Mapping[str, Any]) -> Iterable[str]:
    words = {'minimum': 'from', 'exclusiveMinimum': 'above', 'maximum': 'to', 'exclusiveMaximum': 'below'}
    for key, word in words.items():
        if key in value:
            yield f'{word} {value[key]:g}' if abs(value[key]) < 1e6 else f'{word} {value[key]}'
    if value.get('multipleOf', 1) != 1:
        yield f'(multiple of {value["multipleOf"]})'


def _code(value: Any) -> str:
    """A value as YAML has it."""
    return f'`{_yaml(value)}`'


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return f'[{", ".join(map(_yaml, value))}]'
    return '~' if value is None else str(value).lower() if isinstance(value, bool) else str(value)
