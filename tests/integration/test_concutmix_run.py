"""The command of the ImageNet-LT recipe, in two CPU processes, and the test of its checkpoint.

The recipe runs as it stands, except for paths, the length of an epoch, the batch size and the
number of workers; the fast test also makes the images smaller, the slow ones are at 224 px and on
photographs.
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from tests.configs.test_every_config import shrink
from tests.digits_runner import CONFIGS
from tests.tools.load_tool import TOOLS, load_tool

run_test = load_tool('test.py').main

CONFIG = CONFIGS / 'imagenet_lt' / 'resnext50_concutmix_car.py'
ESTIMATE = 'head.loss_car.estimate.'
# Images of the first classes; every other class has one.
HEAD_COUNTS, CLASSES, EVALUATED = (101, 60, 21), 1000, 12
EPOCHS, STEPS = 2, 4

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU')


def write_images(root, lines, images):
    """JPEGs at the paths of ``path label`` lines; ``images`` are bytes to take in turn."""
    for number, line in enumerate(lines):
        file = root / line.rsplit(' ', 1)[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(images[number % len(images)])


def write_list(root, name, lines):
    """In shuffled order, so that the first lines, which a short epoch shows, have many classes."""
    order = np.random.default_rng(0).permutation(len(lines))
    (root / name).write_text('\n'.join(lines[i] for i in order) + '\n')


@pytest.fixture(scope='module')
def imagenet_lt(tmp_path_factory):
    """ImageNet-LT's layout and classes, a few JPEGs of 250 x 230 pixels each."""
    root = tmp_path_factory.mktemp('imagenet_lt')
    rng = np.random.default_rng(0)
    images = []
    for _ in range(8):
        coarse = Image.fromarray(rng.integers(256, size=(6, 6, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        coarse.resize((250, 230), Image.Resampling.BICUBIC).save(buffer, 'JPEG')
        images.append(buffer.getvalue())
    counts = [*HEAD_COUNTS, *[1] * (CLASSES - len(HEAD_COUNTS))]
    names = [f'n{k:08d}' for k in range(CLASSES)]
    # Of the head and of the tail.
    evaluated = [*range(EVALUATED // 2), *range(CLASSES - EVALUATED // 2, CLASSES)]
    lists = {
        'train': [
            f'train/{names[k]}/{names[k]}_{i}.JPEG {k}'
            for k, count in enumerate(counts)
            for i in range(count)
        ],
        'val': [f'train/{names[k]}/{names[k]}_900.JPEG {k}' for k in evaluated],
        'test': [f'val/{names[k]}/ILSVRC2012_val_{k:08d}.JPEG {k}' for k in evaluated],
    }
    for split, lines in lists.items():
        write_images(root, lines, images)
        write_list(root, f'ImageNet_LT_{split}.txt', lines)
    return root


def run_two_processes(config, work_dir, options, timeout):
    """``tools/dist_train.sh CONFIG 2``; the log's scalars and the last checkpoint."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        port = listener.getsockname()[1]
    done = subprocess.run(
        [
            'bash',
            str(TOOLS / 'dist_train.sh'),
            str(config),
            '2',
            '--work-dir',
            str(work_dir),
            '--cfg-options',
            *options,
        ],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={
            **os.environ,
            'PYTHON': sys.executable,
            'PORT': str(port),
            'OMP_NUM_THREADS': '1',
            'CUDA_VISIBLE_DEVICES': '',
        },
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (log,) = Path(work_dir).glob('*/vis_data/scalars.json')
    scalars = [json.loads(line) for line in log.read_text().splitlines()]
    return scalars, Path(work_dir) / f'epoch_{EPOCHS}.pth'


def common_options(batch_size, steps=STEPS):
    """An epoch of ``steps`` batches; labels are rectified in the second."""
    return [
        f'train_cfg.max_epochs={EPOCHS}',
        f'train_cfg.val_interval={EPOCHS}',
        f'default_hooks.checkpoint.interval={EPOCHS}',
        'default_hooks.checkpoint.save_best=None',
        'default_hooks.checkpoint.save_optimizer=False',
        'default_hooks.logger.interval=1',
        'model.head.label_start_epoch=1',
        f'train_dataloader.num_batch_per_epoch={steps}',
        f'train_dataloader.batch_size={batch_size}',
    ]


def check_training(scalars, checkpoint, class_counts, steps=STEPS):
    losses = [line for line in scalars if 'loss_cls' in line]
    assert len(losses) == EPOCHS * steps
    for line in losses:
        assert all(np.isfinite(line[name]) for name in ('loss_cls', 'loss_bcl', 'loss_car'))
    mixed = ['gamma' in line for line in losses]
    assert not any(mixed[:steps]), 'the labels of the first epoch are not rectified'
    assert any(mixed[steps:]) and not all(mixed[steps:]), 'some batches are mixed'
    saved = torch.load(checkpoint, weights_only=True)
    assert saved['meta']['dataset_meta']['class_counts'] == list(class_counts)
    state = saved['state_dict']
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())
    assert state[ESTIMATE + 'num_updates'] == EPOCHS * steps
    assert state[ESTIMATE + 'num_skipped'] == 0
    confusion = state[ESTIMATE + 'confusion']
    assert confusion.shape == (len(class_counts),) * 2
    assert confusion.any() and not confusion.diagonal().any()


def figures_of_validation(scalars):
    return {
        name: value
        for name, value in [line for line in scalars if 'long_tail/top1' in line][-1].items()
        if name.startswith('long_tail/')
    }


def loader_options(root, train_workers=0):
    return [
        f'train_dataloader.dataset.dataset.data_root={root}',
        f'train_dataloader.num_workers={train_workers}',
        *(
            f'{name}_dataloader.{option}'
            for name in ('val', 'test')
            for option in (f'dataset.data_root={root}', 'num_workers=0', 'batch_size=6')
        ),
    ]


def view_options(size):
    """Another size of the images."""
    views = 'train_dataloader.dataset.dataset.pipeline.1.transforms'
    return [
        f'{views}.0.0.scale={size}',
        f'{views}.1.0.scale={size}',
        *(
            f'{name}_dataloader.dataset.pipeline.{option}'
            for name in ('val', 'test')
            for option in (f'1.scale={size + size // 8}', f'2.crop_size={size}')
        ),
    ]


@pytest.mark.parametrize('size', [32, 224])
@pytest.mark.slow
def test_the_recipe_trains_and_is_tested(imagenet_lt, tmp_path, size):
    options = common_options(batch_size=2)
    if size == 224:
        loaders = loader_options(imagenet_lt, train_workers=1)
    else:
        loaders = loader_options(imagenet_lt) + view_options(size)
    scalars, checkpoint = run_two_processes(
        CONFIG, tmp_path / 'run', options + loaders, timeout=900
    )
    counts = [*HEAD_COUNTS, *[1] * (CLASSES - len(HEAD_COUNTS))]
    check_training(scalars, checkpoint, counts)

    figures = run_test(
        [
            str(CONFIG),
            str(checkpoint),
            '--work-dir',
            str(tmp_path / 'test'),
            '--cfg-options',
            f'experiment_name=concutmix_run_{size}',
            *loaders,
        ]
    )
    assert {
        'long_tail/many_shot',
        'long_tail/medium_shot',
        'long_tail/few_shot',
        'long_tail/worst_class',
    } <= set(figures)
    assert set(figures_of_validation(scalars)) == set(figures)
    assert 0 <= figures['long_tail/top1'] <= 100


def unpack(file, root, name):
    """Photographs and list of a pack of the grocery set; the class counts."""
    pack = np.load(file)
    blob, offsets, labels = pack['blob'].tobytes(), pack['offsets'], pack['labels'].astype(int)
    lines = [f'{name}/{label:02d}/{i}.jpg {label}' for i, label in enumerate(labels)]
    write_images(root, lines, [blob[start:end] for start, end in pairwise(offsets)])
    write_list(root, f'{name}.txt', lines)
    return np.bincount(labels).tolist()


def photograph_config(root, num_classes, size=160):
    """The recipe with a list of photographs and a ResNet-18 in place of its data and network."""
    cfg = Config.fromfile(CONFIG)
    for which, name in (('train', 'train'), ('val', 'test'), ('test', 'test')):
        loader = cfg[f'{which}_dataloader']
        wrapper = loader if which != 'train' else loader.dataset
        wrapper.dataset = dict(
            type='LongTailListDataset',
            data_root=str(root),
            ann_file=f'{name}.txt',
            num_classes=num_classes,
            pipeline=wrapper.dataset.pipeline,
            test_mode=which != 'train',
        )
        loader.num_workers = 1
        shrink(loader, size)
        if which != 'train':
            wrapper.dataset.pipeline[1].scale = size
    cfg.model.backbone = dict(type='ResNet', depth=18)
    cfg.model.neck.in_channels = cfg.model.head.in_channels = 512
    cfg.model.head.num_classes = cfg.data_preprocessor.num_classes = num_classes
    cfg.dump(root / 'concutmix_car.py')
    return root / 'concutmix_car.py'


@pytest.mark.slow
def test_real_photographs(shared_dir, tmp_path):
    grocery = shared_dir / 'data' / 'grocery34'
    if not grocery.is_dir():
        pytest.skip(f'no photographs at {grocery}')
    counts = unpack(grocery / 'train.npz', tmp_path, 'train')
    tested = unpack(grocery / 'test.npz', tmp_path, 'test')
    assert len(counts) == len(tested)
    config = photograph_config(tmp_path, len(counts))
    scalars, checkpoint = run_two_processes(
        config, tmp_path / 'run', common_options(batch_size=8, steps=8), timeout=900
    )
    check_training(scalars, checkpoint, counts, steps=8)
    figures = run_test(
        [
            str(config),
            str(checkpoint),
            '--work-dir',
            str(tmp_path / 'alone'),
            '--cfg-options',
            'experiment_name=concutmix_photographs',
        ]
    )
    # Two processes saw the same 340 photographs at the end of training; the log rounds.
    assert figures_of_validation(scalars) == pytest.approx(figures, abs=1e-3)
