"""The losses of a step, averaged when they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from basicsr.models.base_model import BaseModel
from torch import Tensor


class TrainingLog(BaseModel):
    """Mixin of BasicSR's models: losses become numbers when the log is written, not at every step.

    A number waits for the device until it has done the step, so that the next one is handed over late.
    """

    _pending_losses: OrderedDict[str, Tensor] | None = None
    log_dict: Mapping[str, float]

    def _keep_losses(self, losses: Mapping[str, Tensor]) -> None:
        """Takes a step's losses, scalars, for :meth:`get_current_log`."""
        self._pending_losses = OrderedDict((name, loss.detach()) for name, loss in losses.items())

    def get_current_log(self) -> Mapping[str, float]:
        """The last step's losses; of several processes, their mean, in the first one alone, which writes the log.

        All processes must ask at the same steps, as BasicSR does.
        """
        if self._pending_losses is not None:
            self.log_dict, self._pending_losses = self.reduce_loss_dict(self._pending_losses), None
        return self.log_dict
