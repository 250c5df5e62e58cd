"""Resuming keeps the weights of frozen networks.

BasicSR's ``check_resume`` points every ``pretrain_network_*`` to the file that the resumed training saved, and makes
every ``param_key_*`` that says ``params_ema`` say ``params``. A network that is not trained is not saved, so its
weights would be looked for where they are not, or under another key.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from b2b_basicsr.compat.mend import Mend, basicsr_has_faults
from b2b_basicsr.compat.rebinding import rebind
from b2b_basicsr.errors import UserError


def _keeping_the_frozen(check_resume: Callable[..., None]) -> Callable[..., None]:
    def check(opt: dict[str, Any], resume_iter: int) -> None:
        """Set ``pretrain_network_*`` and ``param_key_*`` to what the resumed training saved, but for frozen networks.

        Which are frozen says the model class: ``frozen_networks``, a tuple of option keys as ``'network_deblur'``.
        Networks that the option file names in ``ignore_resume_networks`` keep both keys as well. Classes without that
        attribute get BasicSR's own behaviour.

        Raises:
            UserError: The file that the resumed training must have saved for a trained network is not there.
        """
        frozen = frozen_networks_of(opt.get('model_type'))
        if frozen is None:
            check_resume(opt, resume_iter)
            return
        path_opt = opt['path']
        ignored = path_opt.get('ignore_resume_networks')
        kept = {*frozen, *ignored_networks(opt)}
        # Out of its sight, so that it does not print either what will not be so.
        hidden = {
            key: path_opt.pop(key)
            for network in kept
            for key in (f'pretrain_{network}', network.replace('network_', 'param_key_'))
            if key in path_opt
        }
        path_opt['ignore_resume_networks'] = sorted(kept)
        check_resume(opt, resume_iter)
        path_opt.update(hidden)
        if ignored is None:
            del path_opt['ignore_resume_networks']
        else:
            path_opt['ignore_resume_networks'] = ignored
        if path_opt['resume_state']:
            _demand_saved_networks(opt, kept)

    return check


def ignored_networks(opt: Mapping[str, Any]) -> tuple[str, ...]:
    """The networks that the option file takes from elsewhere than the resumed training."""
    ignored = opt['path'].get('ignore_resume_networks')
    return (ignored,) if isinstance(ignored, str) else tuple(ignored or ())


def frozen_networks_of(model_type: Any) -> tuple[str, ...] | None:
    """The networks that a model class never trains, and so never saves; ``None`` if it does not say."""
    from basicsr.utils.registry import MODEL_REGISTRY

    if not isinstance(model_type, str) or model_type not in MODEL_REGISTRY:
        return None
    return getattr(MODEL_REGISTRY.get(model_type), 'frozen_networks', None)


def _demand_saved_networks(opt: dict[str, Any], kept: set[str]) -> None:
    for network in opt:
        if not network.startswith('network_') or network in kept:
            continue
        path = opt['path'].get(f'pretrain_{network}')
        if path is not None and not Path(path).is_file():
            raise UserError(
                f'{path}: {network} of the training to resume is not there: put the file back, or give '
                f'path: pretrain_{network} its weights and list {network} in path: ignore_resume_networks'
            )


def _apply() -> None:
    from basicsr.utils import misc

    original = misc.check_resume
    rebind(original, functools.wraps(original)(_keeping_the_frozen(original)))


MEND = Mend(name='frozen_networks', affects='basicsr <= 1.4.2', needed=basicsr_has_faults, apply=_apply)
