"""What the train and test tools share: MMPretrain's flags, data loaders, CPU ranks."""

from __future__ import annotations

import argparse
import os
import os.path as osp
import pickle
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config, DictAction

from mmlt.weight_files import SUFFIX, read_safetensors

__all__ = [
    'add_common_arguments',
    'add_run_arguments',
    'add_trust_argument',
    'load_checkpoint',
    'prepare_cpu_ranks',
    'set_loader_defaults',
    'set_work_dir',
]


# Where torch itself looks, in this process and those that it starts.
TRUST = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


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
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def set_work_dir(cfg: Config, args: argparse.Namespace) -> None:
    """Command line, then config, then ``work_dirs/<name of the config>``."""
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', osp.splitext(osp.basename(args.config))[0])


def set_loader_defaults(cfg: Config, fields: tuple[str, ...], pin_memory: bool) -> None:
    """Fill in what MMPretrain's tools fill in, and keep ``num_workers=0`` valid.

    Workers of the training loader are started anew for each epoch unless the config says
    otherwise: ``LongTailHook`` seeds them by the epoch.

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
        if field == 'train_dataloader':
            loader.setdefault('persistent_workers', False)
        if not pin_memory or not torch.cuda.is_available():
            loader.pin_memory = False
        else:
            loader.setdefault('pin_memory', True)
        if loader.num_workers == 0:
            loader.persistent_workers = False
            loader.pop('prefetch_factor', None)


def prepare_cpu_ranks(cfg: Config) -> None:
    """Join a gloo group before the runner would look for GPUs that are not there.

    Args:
        cfg: its ``launcher`` and ``model_wrapper_cfg`` are read; changed in place.

    Raises:
        RuntimeError: for a launcher other than ``pytorch`` without a GPU, or outside torchrun.
    """
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    if cfg.launcher != 'pytorch':
        raise RuntimeError(
            f'--launcher {cfg.launcher} needs GPUs, and torch sees none here; several processes '
            'on CPUs start with tools/dist_train.sh (torchrun, --launcher pytorch)'
        )
    missing = [
        name
        for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
        if name not in os.environ
    ]
    if missing:
        raise RuntimeError(
            f'--launcher pytorch outside torchrun: {", ".join(missing)} not set; '
            'use tools/dist_train.sh or tools/dist_test.sh'
        )
    if not dist.is_initialized():
        dist.init_process_group('gloo')
    wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False)
    wrapper.update(cfg.get('model_wrapper_cfg') or {})
    cfg.model_wrapper_cfg = dict(wrapper, device_ids=None)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of MMEngine or a safetensors file, on the CPU.

    Args:
        path: the file.

    Raises:
        ValueError: if the file is missing, is not such a checkpoint, or holds more than tensors and
            plain types and ``--trust-checkpoint`` was not given.
    """
    if not path.is_file():
        raise ValueError(f'{path}: no such file')
    if path.suffix == SUFFIX:
        return read_safetensors(path)
    try:
        checkpoint = torch.load(path, map_location='cpu', weights_only=TRUST not in os.environ)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f'{path}: cannot be read as a checkpoint: {error}') from error
    if not isinstance(checkpoint, dict) or 'state_dict' not in checkpoint:
        raise ValueError(f'{path}: expected a checkpoint of MMEngine, got one without state_dict')
    return checkpoint
