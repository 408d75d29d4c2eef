"""What the train and test tools share: MMPretrain's flags, data loaders, CPU ranks."""

from __future__ import annotations

import argparse
import logging
import os
import os.path as osp
from copy import deepcopy

import torch
import torch.distributed as dist
from mmengine.config import Config, DictAction
from mmengine.logging import print_log

__all__ = [
    'add_common_arguments',
    'prepare_cpu_ranks',
    'set_loader_defaults',
    'set_work_dir',
    'trust_checkpoints',
]


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of MMPretrain's tools that training and testing have in common."""
    parser.add_argument('--work-dir', help='folder for logs, checkpoints and metrics')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision; bfloat16 autocast where there is no GPU',
    )
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='load checkpoints that hold more than tensors and plain types. They can run any code: '
        'only for files that you or people you trust have made',
    )
    parser.add_argument(
        '--no-pin-memory', action='store_true', help='do not pin the memory of the data loaders'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, key=value; lists as key="[a,b]" or key=a,b, '
        'nested ones as key="[(a,b),(c,d)]", quoted and without white space',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def trust_checkpoints(args: argparse.Namespace) -> None:
    """Switch safe loading off where ``--trust-checkpoint`` says so, with a warning."""
    if args.trust_checkpoint:
        os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] = '1'
        print_log(
            '--trust-checkpoint: checkpoints are loaded without safety and can run any code',
            logger='current',
            level=logging.WARNING,
        )


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
