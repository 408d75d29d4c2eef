"""What the train and test tools share: MMPretrain's flags, data loaders, CPU ranks."""

from __future__ import annotations

import argparse
import os
import os.path as osp
import sys
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from flags import integer
from mmengine.config import Config, DictAction
from mmengine.dist import init_dist
from mmengine.utils.dl_utils import set_multi_processing

from mmlt.checkpoints import TRUST
from mmlt.functional.checks import OptionError
from mmlt.weight_files import read_checkpoint

__all__ = [
    'add_common_arguments',
    'add_run_arguments',
    'add_trust_argument',
    'checkpoint_file',
    'config_file',
    'join_ranks',
    'load_checkpoint',
    'out_file',
    'prepare_cpu_ranks',
    'set_loader_defaults',
    'set_work_dir',
    'show_names_as_text',
]


def config_file(text: str) -> str:
    """Type of an argument: the path of a config, looked for before anything else is done."""
    return _existing(text, 'a config file', ('.py', '.json', '.yaml', '.yml'))


def checkpoint_file(text: str) -> str:
    """Type of an argument: the path or the URL of a checkpoint."""
    return text if '://' in text else _existing(text, 'a checkpoint', ())


def out_file(*suffixes: str) -> Callable[[str], Path]:
    """Type of an argument: a file that is going to be written, in one of a few formats."""

    def check(text: str) -> Path:
        if Path(text).suffix not in suffixes:
            raise argparse.ArgumentTypeError(f'expected a file {"/".join(suffixes)}, got {text!r}')
        return Path(text)

    return check


def _existing(text: str, what: str, suffixes: tuple[str, ...]) -> str:
    path = Path(text)
    if not path.is_file():
        got = 'a folder:' if path.is_dir() else 'no such file:'
        raise argparse.ArgumentTypeError(f'expected {what}, got {got} {text!r}')
    if suffixes and path.suffix not in suffixes:
        raise argparse.ArgumentTypeError(f'expected {what} ({" ".join(suffixes)}), got {text!r}')
    return text


class TrustCheckpoint(argparse.Action):
    """Switches safe loading off for this process, with a warning."""

    def __call__(self, *args: Any) -> None:
        os.environ[TRUST] = '1'
        print(
            'warning: --trust-checkpoint: checkpoints are loaded without safety and can run any '
            'code',
            file=sys.stderr,
        )


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """The flag of every tool that reads checkpoints."""
    parser.add_argument(
        '--trust-checkpoint',
        action=TrustCheckpoint,
        nargs=0,
        help='load checkpoints that hold more than tensors and plain types. They can run any code: '
        'only for files that you or people you trust have made',
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of every tool that builds a runner from a config."""
    parser.add_argument('--work-dir', help='folder for logs, checkpoints and metrics')
    add_trust_argument(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, key=value; lists as key="[a,b]" or key=a,b, '
        'nested ones as key="[(a,b),(c,d)]", quoted and without white space',
    )


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of MMPretrain's tools that training and testing have in common."""
    add_run_arguments(parser)
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision; bfloat16 autocast where there is no GPU',
    )
    parser.add_argument(
        '--no-pin-memory', action='store_true', help='do not pin the memory of the data loaders'
    )
    parser.add_argument('--local_rank', '--local-rank', type=integer(0), default=0)


def set_work_dir(cfg: Config, args: argparse.Namespace) -> None:
    """Command line, then config, then ``work_dirs/<name of the config>``."""
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', osp.splitext(osp.basename(args.config))[0])


def set_loader_defaults(cfg: Config, fields: tuple[str, ...], pin_memory: bool) -> None:
    """Fill in what MMPretrain's tools fill in, and keep ``num_workers=0`` valid.

    Args:
        cfg: changed in place.
        fields: names of the data loader configs.
        pin_memory: pin where there is a GPU to copy to.
    """
    for field in fields:
        if cfg.get(field) is None:
            continue
        loader = cfg[field]
        for key, value in dict(collate_fn=dict(type='default_collate'), num_workers=0).items():
            loader.setdefault(key, deepcopy(value))
        if not pin_memory or not torch.cuda.is_available():
            loader.pin_memory = False
        else:
            loader.setdefault('pin_memory', True)
        if loader.num_workers == 0:
            loader.persistent_workers = False
            loader.pop('prefetch_factor', None)


def show_names_as_text(cfg: Config) -> None:
    """Let the pictures of MMPretrain show class names as they are.

    Otherwise a name with two dollars reaches matplotlib's maths mode, where it looks different or
    ends the run.

    Args:
        cfg: nothing is done unless its ``VisualizationHook`` is enabled.
    """
    hook = (cfg.get('default_hooks') or {}).get('visualization') or {}
    if hook.get('enable'):
        import matplotlib

        matplotlib.rcParams.update({'text.parse_math': False, 'text.usetex': False})


def prepare_cpu_ranks(cfg: Config) -> None:
    """Join a gloo group before the runner would look for GPUs that are not there.

    Args:
        cfg: its ``launcher`` and ``model_wrapper_cfg`` are read; changed in place.

    Raises:
        OptionError: for a launcher other than ``pytorch`` without a GPU, or outside torchrun.
    """
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    if cfg.launcher != 'pytorch':
        raise OptionError(
            f'--launcher {cfg.launcher} needs GPUs, and torch sees none here; several processes '
            'on CPUs start with tools/dist_train.sh (torchrun, --launcher pytorch)'
        )
    missing = [
        name
        for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
        if name not in os.environ
    ]
    if missing:
        raise OptionError(
            f'--launcher pytorch outside torchrun: {", ".join(missing)} not set; '
            'use tools/dist_train.sh or tools/dist_test.sh'
        )
    if not dist.is_initialized():
        seconds = ((cfg.get('env_cfg') or {}).get('dist_cfg') or {}).get('timeout')
        # As MMEngine does it for GPUs: how long a rank waits for one that does not answer.
        timeout = {} if seconds is None else {'timeout': timedelta(seconds=seconds)}
        dist.init_process_group('gloo', **timeout)
    wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False)
    wrapper.update(cfg.get('model_wrapper_cfg') or {})
    cfg.model_wrapper_cfg = dict(wrapper, device_ids=None)


def join_ranks(cfg: Config) -> None:
    """Connect the ranks before anything is read, so that one can tell the others of a fault.

    Args:
        cfg: as in :func:`prepare_cpu_ranks`.
    """
    prepare_cpu_ranks(cfg)
    if cfg.launcher != 'none' and not dist.is_initialized():
        # The two calls with which the runner begins; it finds the ranks connected.
        env = cfg.get('env_cfg') or {}
        set_multi_processing(**(env.get('mp_cfg') or {}), distributed=True)
        init_dist(cfg.launcher, **(env.get('dist_cfg') or {}))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of MMEngine or a safetensors file, on the CPU.

    Args:
        path: the file.

    Raises:
        ValueError: if the file is missing, damaged, is not such a checkpoint, or holds more than
            tensors and plain types and ``--trust-checkpoint`` was not given.
    """
    return read_checkpoint(path, trust=TRUST in os.environ, switch='--trust-checkpoint')
