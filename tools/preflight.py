"""What can be seen to be wrong before a run starts: one plain line each, in place of tracebacks.

It looks at files, a handful of images, classes and sizes. One process per machine looks; the others
wait for it.
"""

from __future__ import annotations

import os
import os.path as osp
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from machine import FAULTY, cpu_cores
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.registry import DefaultScope
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS
from run_settings import wrong_settings

from mmlt.datasets import LongTailListDataset
from mmlt.datasets.lists import BenchmarkList
from mmlt.functional.checks import OptionError
from mmlt.registry import pretrained_in, said_by, type_name, wrong_part

__all__ = [
    'Faults',
    'check_alone',
    'check_run',
    'find_faults',
    'find_warnings',
    'read_config',
    'run_tool',
]

IMAGES = 8  # looked for in a list that MMPretrain reads
SCAN = 'a look at every image: mmlt check CONFIG'


class Faults(ValueError):
    """What is wrong with a run, one line each."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__('\n'.join(lines))
        self.lines = list(lines)


def run_tool(main: Callable[[], Any]) -> None:
    """Run a tool as a script: a fault is printed once per machine, and ends it with status 2.

    Options that are refused while the run is built or about to start are such faults too, as are
    parts that do not exist or do not take an option of theirs.
    """
    try:
        main()
    except (Faults, OptionError, KeyError, TypeError) as error:
        if isinstance(error, ValueError):
            lines = error.lines if isinstance(error, Faults) else [said_by(error)]
        elif (line := wrong_part(error)) is not None:
            lines = [line]
        else:
            raise
        if not _first_of_machine():
            time.sleep(30)  # the launcher ends this rank, unless the fault is its alone
        print('\n'.join(f'error: {line}' for line in lines), file=sys.stderr, flush=True)
        sys.exit(FAULTY)


def read_config(path: str) -> Config:
    """The config at ``path``; ``Faults`` with one line where it cannot be read."""
    if not osp.isfile(path):
        raise Faults([f'config: expected the path of a config file, got no {path}'])
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is a program
        raise Faults([f'config: expected a config, got {path}: {said_by(error)}']) from error


def check_run(cfg: Config, loaders: Sequence[str]) -> None:
    """Stop all ranks where there are faults, and print warnings.

    Args:
        cfg: after the command line; where there are ranks, they have to be connected.
        loaders: names of the data loaders that the run is going to read.

    Raises:
        Faults: on every rank, with those of all machines.
    """
    world_size = get_dist_info()[1]
    faults = []
    if _first_of_machine():
        faults = find_faults(cfg, loaders, world_size)
        for line in find_warnings():
            print(f'warning: {line}', file=sys.stderr, flush=True)
    lines = dict.fromkeys(line for part in all_gather_object(faults) for line in part)
    if lines:
        raise Faults(list(lines))


def check_alone(tool: Any, arguments: Sequence[str]) -> None:
    """As :func:`check_run`, before there are ranks; ``tool`` is ``train`` or ``test``."""
    args = tool.parse_args(arguments)
    lines = find_faults(tool.merge_args(read_config(args.config), args), tool.LOADERS)
    if lines:
        raise Faults(lines)


def find_warnings() -> list[str]:
    """What makes a run slow rather than wrong."""
    processes = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    cores = cpu_cores()
    if torch.cuda.is_available() or processes <= cores:
        return []
    return [f'{processes} processes share the {cores} CPU cores here; {cores} would be faster']


def find_faults(cfg: Config, loaders: Sequence[str], world_size: int = 1) -> list[str]:
    """One line per fault; the same one in several data loaders is one line.

    Args:
        cfg: after the command line.
        loaders: names of the data loaders that are going to be read.
        world_size: number of ranks.
    """
    lines = list(_missing_weights(cfg, loaders))
    lines += wrong_settings(cfg, loaders)
    found: dict[str, list[str]] = {}
    for name in loaders:
        loader = cfg.get(name)
        for leaf in _leaves((loader or {}).get('dataset')):
            with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
                faults, classes, images = _look_at(leaf)
            if not faults:
                faults += _wrong_classes(cfg, classes, name)
                if name == 'train_dataloader' and loader['dataset'] is leaf:
                    faults += _too_few(loader, images, world_size)
            for fault in faults:
                where = found.setdefault(fault, [])
                if name not in where:
                    where.append(name)
    return lines + [f'{", ".join(where)}: {fault}' for fault, where in found.items()]


def _missing_weights(cfg: Config, loaders: Sequence[str]) -> Iterator[str]:
    """Local files of weights that are not there."""
    training = 'train_dataloader' in loaders
    named = [('load_from', cfg.get('load_from')), *_pretrained(cfg.get('model'), 'model', training)]
    for name, path in named:
        if isinstance(path, str) and _is_local(path) and not osp.exists(osp.expanduser(path)):
            yield f'{name}: expected the path of a checkpoint, got no {path}'


def _pretrained(node: Any, name: str, read: bool) -> Iterator[tuple[str, Any]]:
    """Files that initial weights come from; MMEngine reads them where it trains alone."""
    if isinstance(node, (list, tuple)):
        for index, part in enumerate(node):
            yield from _pretrained(part, f'{name}[{index}]', read)
    elif isinstance(node, dict):
        if read and pretrained_in(node):
            yield f'{name}.checkpoint', node.get('checkpoint')
        # This one reads its weights where it is built.
        read = read or type_name(node) == 'TunedBackbone'
        for key, part in node.items():
            yield from _pretrained(part, f'{name}.{key}', read)


def _is_local(path: str) -> bool:
    return '://' not in path and not path.startswith('s3:')


def _leaves(dataset: Any) -> Iterator[dict]:
    """The configs of data sets inside wrappers."""
    if isinstance(dataset, (list, tuple)):
        for part in dataset:
            yield from _leaves(part)
    elif isinstance(dataset, dict):
        inner = [dataset[key] for key in ('dataset', 'datasets') if dataset.get(key) is not None]
        if inner:
            yield from _leaves(inner)
        elif 'type' in dataset:
            yield dataset


def _look_at(config: dict) -> tuple[list[str], int | None, int | None]:
    """Faults of one data set, its number of classes and its number of images, where known.

    Nothing but lists is read: of folders and archives it is only looked whether they are there.
    """
    kind = DATASETS.get(config['type']) if isinstance(config['type'], str) else config['type']
    if kind is None:
        return [f'type: expected a registered data set, got {config["type"]!r}'], None, None
    if not (isinstance(kind, type) and issubclass(kind, BaseDataset)):
        return [], None, None
    root = str(config.get('data_root') or '')
    if root and issubclass(kind, CustomDataset | LongTailListDataset) and _is_missing(root):
        return (
            [f'data_root: expected the folder of the data, got no {root}{_source(kind)}'],
            None,
            0,
        )
    try:
        dataset = DATASETS.build({**config, 'lazy_init': True})
        images = None
        if isinstance(dataset, LongTailListDataset):
            images = len(dataset.load_data_list())
            if dataset.imbalance_ratio is not None or config.get('indices') is not None:
                images = None
        else:
            _look_for_files(dataset)
    except Exception as error:  # whatever a data set of a user's own raises
        if 'lazy_init' in str(error):
            return [], None, None
        origin = _source(kind) if isinstance(error, OSError) else ''
        return [said_by(error) + origin], None, None
    classes = getattr(dataset, 'num_classes', None) or len(dataset.CLASSES or ()) or None
    return [], classes, images


def _is_missing(path: str) -> bool:
    return _is_local(path) and not osp.exists(path)


def _look_for_files(dataset: Any) -> None:
    """``FileNotFoundError`` where the list, the folder or one of the first images is not there."""
    prefix = dataset.data_prefix
    folder = prefix.get('img_path', '') if isinstance(prefix, dict) else str(prefix)
    if dataset.ann_file and _is_missing(dataset.ann_file):
        raise FileNotFoundError(f'ann_file: expected a list file, got no {dataset.ann_file}')
    if not isinstance(dataset, CustomDataset):
        return
    if folder and _is_missing(folder):
        raise FileNotFoundError(f'data_prefix: expected the folder of images, got no {folder}')
    if dataset.ann_file and _is_local(dataset.ann_file) and _is_local(folder):
        with open(dataset.ann_file) as lines:
            for number, line in enumerate(lines, start=1):
                if number > IMAGES:
                    break
                words = line.rsplit(None, 1) if dataset.with_label else [line.strip()]
                if words and not osp.exists(osp.join(folder, words[0])):
                    raise FileNotFoundError(
                        f'{dataset.ann_file}, line {number}: expected the image '
                        f'{osp.join(folder, words[0])}, got no such file'
                    )


def _source(kind: type) -> str:
    """Where the data comes from, to end a line with."""
    if issubclass(kind, BenchmarkList):
        origin = 'where its lists and images come from: "The benchmark data" in docs/get_started.md'
    elif issubclass(kind, LongTailListDataset):
        origin = 'mmlt new IMAGES writes lists, see docs/own_data.md'
    else:
        origin = 'its docstring describes the files'
    return f' ({kind.__name__}: {origin}; {SCAN})'


def _wrong_classes(cfg: Config, classes: int | None, loader: str) -> list[str]:
    model = cfg.get('model') or {}
    head = (model.get('module') or model).get('head')
    expected = head.get('num_classes') if isinstance(head, dict) else None
    if not isinstance(expected, int) or classes is None:
        return []
    if classes == expected or (loader != 'train_dataloader' and classes < expected):
        return []
    return [
        f'model.head.num_classes: expected {classes}, as many as the data has classes, '
        f'got {expected}'
    ]


def _too_few(loader: dict, images: int | None, world_size: int) -> list[str]:
    batch, drops = loader.get('batch_size'), bool(loader.get('drop_last'))
    if images is None or not isinstance(batch, int) or not drops or images >= batch * world_size:
        return []
    return [
        f'batch_size: expected at most {images // world_size} for {images} images on {world_size} '
        f'ranks, got {batch}: with drop_last an epoch has no batch'
    ]


def _first_of_machine() -> bool:
    names = ('SLURM_LOCALID', 'OMPI_COMM_WORLD_LOCAL_RANK', 'LOCAL_RANK')
    if 'TORCHELASTIC_RUN_ID' in os.environ:
        names = ('LOCAL_RANK',)
    return next((os.environ[name] for name in names if name in os.environ), '0') == '0'
