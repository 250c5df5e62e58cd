"""A validation, shared between the processes of a training or test."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from basicsr.utils import get_root_logger
from numpy import uint8
from numpy.typing import NDArray
from tqdm import tqdm

from b2b_basicsr.data.broken_picture import read_sample
from b2b_basicsr.errors import UserError
from b2b_basicsr.models.picture_names import PictureNames
from b2b_basicsr.models.scores import Scores
from b2b_basicsr.models.val_options import ValOptions
from b2b_basicsr.models.validation_record import ValidationRecord
from b2b_basicsr.processes import failing_together, gathered, gathered_by_first, take_from_first, this_process
from b2b_basicsr.records.picture_scores import ScoredPicture
from b2b_basicsr.stop_request import STOP

Pictures = Mapping[str, NDArray[uint8]]
"""Name -> BGR levels, [h, w, 3]."""


@dataclass(frozen=True)
class Validation:
    """One validation of one set.

    Args:
        dataset: the set.
        iteration: what it is called after in files and curves.
        saves: whether pictures are saved.
        shows: whether TensorBoard is there.
    """

    dataset: Any
    iteration: int | str
    saves: bool
    shows: bool

    @property
    def name(self) -> str:
        """Of the set."""
        return str(self.dataset.opt['name'])


class SharedValidation(ValidationRecord):
    """Mixin of BasicSR's models: the loop over a set.

    Every process takes each n-th picture and saves what it makes of it. All values go to all processes, which average
    them in the set's order: the means, and with them the best ones, are those of one process. The first process alone
    writes the table, the curves and the checkpoint. One process is one of one.
    """

    def _init_record(self, settings: ValOptions, scores: Scores) -> None:
        super()._init_record(settings, scores)
        self._names: dict[str, PictureNames] = {}
        self._told_left_out: set[str] = set()
        self._sets_tested = self._left_out_of_test = 0

    def nondist_validation(self, dataloader: Any, current_iter: int | str, tb_logger: Any, save_img: bool) -> None:
        """Scores every picture of a set; saves and logs what the options ask for.

        Args:
            dataloader: of the set, a picture a batch.
            current_iter: the iteration, or the name of a test.
            tb_logger: TensorBoard's; of several processes, the first alone has one.
            save_img: whether pictures are saved.

        A picture that cannot be read any longer is told of and left out, and the means, which are then over less than
        the set, choose nothing.

        Raises:
            SystemExit: with 1, behind the last set of a test, if a picture of any could not be read.
        """
        shows = gathered(tb_logger is not None)[0]
        validation = Validation(dataloader.dataset, self._last_trained(current_iter), save_img, shows)
        scored: dict[int, ScoredPicture] = {}
        shown: dict[int, Pictures] = {}
        broken: dict[int, str] = {}
        if validation.name not in self._names:
            self._names[validation.name] = _names_in(validation.dataset)
        self._take_buffers_of_first()
        try:
            with failing_together():
                for place, data in self._share_of(dataloader, broken):
                    scored[place], pictures = self._validate(place, data, validation)
                    if pictures is not None:
                        shown[place] = pictures
                    if STOP.is_alone:  # before the bar moves on: the terminal may be gone
                        self.stop_if_asked()
        finally:
            self.net_g.train(self.is_train)
        every = _in_order(gathered(scored))
        left_out = list(_in_order(gathered(broken)).values())
        self._tell_left_out(validation.name, left_out)
        pictures_of_set = [every[place] for place in every]
        self._record(validation.name, pictures_of_set, validation.iteration, tb_logger, len(left_out))
        to_present = gathered_by_first(shown)
        if to_present is not None:
            titled = [(every[place].name, pictures) for place, pictures in _in_order(to_present).items()]
            self._present(titled, validation, tb_logger)
        self._end_test_with_status(len(left_out))

    def dist_validation(self, dataloader: Any, current_iter: int | str, tb_logger: Any, save_img: bool) -> None:
        """The same as :meth:`nondist_validation`: BasicSR calls it where there is a launcher."""
        self.nondist_validation(dataloader, current_iter, tb_logger, save_img)

    @abstractmethod
    def _validate(
        self, place: int, data: Mapping[str, Any], validation: Validation
    ) -> tuple[ScoredPicture, Pictures | None]:
        """Scores one picture, the one at ``place`` of the set.

        Returns:
            Its values and files, and the pictures of it for :meth:`_present`, if it is one of those that are shown.
        """

    @abstractmethod
    def _present(self, shown: Sequence[tuple[str, Pictures]], validation: Validation, tb_logger: Any) -> None:
        """Shows what the processes have picked out, under names, in the set's order; in the first process alone."""

    def _name_of(self, data: Mapping[str, Any], validation: Validation) -> str:
        """A sample's own name in its set."""
        return self._names[validation.name].of(data['lq_path'][0])

    def _share_of(self, dataloader: Any, broken: dict[int, str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """This process's pictures with their places in the set; those that cannot be read go to ``broken``."""
        rank, count = this_process()
        dataset = dataloader.dataset
        places: Sequence[int] = range(rank, len(dataset), count)
        hidden = rank > 0 or not self.val_settings.pbar
        # Not by the loader, whose loop would end with the first picture that is broken.
        for place in tqdm(places, unit='image', desc=dataset.opt['name'], disable=hidden):
            try:
                sample = read_sample(dataset, place)
            except (UserError, OSError) as cause:
                broken[place] = ' '.join(str(cause).split())
                continue
            yield place, dataloader.collate_fn([sample])

    def _tell_left_out(self, name: str, left_out: Sequence[str]) -> None:
        """One warning for each picture of the training or test."""
        for line in left_out:
            if line not in self._told_left_out:
                self._told_left_out.add(line)
                get_root_logger().warning(f'{name}: {line}: left out of the means')

    def _end_test_with_status(self, left_out: int) -> None:
        if self.is_train:
            return
        self._sets_tested += 1
        self._left_out_of_test += left_out
        if self._left_out_of_test and self._sets_tested == len(self.opt['datasets']):
            get_root_logger().error(f'{self._left_out_of_test} pictures could not be read, as said above.')
            raise SystemExit(1)

    def _take_buffers_of_first(self) -> None:
        """Running statistics differ between processes: those that are saved are the first one's."""
        for net in (self.net_g, getattr(self, 'net_g_ema', None)):
            if net is not None:
                take_from_first(self.get_bare_model(net), parameters=False)


def _names_in(dataset: Any) -> PictureNames:
    """The names of all pictures of a set, which hang on their order; all processes must call it.

    Raises:
        UserError: if the processes see different sets.
    """
    paths = [path if isinstance(path, str) else path['lq_path'] for path in getattr(dataset, 'paths', ())]
    everyones = gathered(paths)
    with failing_together():
        if any(others != paths for others in everyones):
            raise UserError(
                f'{dataset.opt["dataroot_lq"]}: not the same pictures in the same order for all processes; let all '
                'machines see the same folder, and list it with type: PairedFolderDataset or SingleFolderDataset'
            )
    names = PictureNames(dataset.opt['dataroot_lq'])
    for path in paths:
        names.of(path)
    return names


def _in_order(shares: Iterable[Mapping[int, Any]]) -> dict[int, Any]:
    """All processes' parts, by place in the set."""
    return dict(sorted(((place, part) for share in shares for place, part in share.items()), key=lambda item: item[0]))
