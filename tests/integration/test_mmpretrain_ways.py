"""What MMPretrain offers for any config and checkpoint works on those of mmlt."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mmpretrain
import numpy as np
import pytest
import torch
from mmpretrain import ImageClassificationInferencer, get_model

from mmlt.datasets import DigitsLT
from tests.digits_runner import CONFIGS, digits_runner

pytestmark = pytest.mark.slow
CONFIG = str(CONFIGS / 'digits_lt' / 'resnet8_logit_adjustment.py')
TOOLS = Path(mmpretrain.__file__).parent / '.mim' / 'tools'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """Work directory of a short run."""
    folder = tmp_path_factory.mktemp('run')
    runner = digits_runner(folder, 'resnet8_logit_adjustment', 6, log_level='INFO')
    runner.train()
    return folder


def start(tool, *arguments, cwd):
    if not (TOOLS / tool).is_file():
        pytest.skip(f'this MMPretrain has no {tool}')
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_get_model_and_the_inferencer(run):
    checkpoint = str(run / 'epoch_6.pth')
    weights = get_model(CONFIG, pretrained=checkpoint).state_dict()
    assert {'backbone.conv1.weight', 'head.fc.weight'} & set(weights)
    images = [DigitsLT(split='test')[k]['img'] for k in (0, 70)]
    results = ImageClassificationInferencer(CONFIG, pretrained=checkpoint)(images)
    assert [result['pred_class'] for result in results] == ['0', '1']


def test_the_confusion_matrix_and_the_curves(run, tmp_path):
    start(
        'analysis_tools/confusion_matrix.py', CONFIG, run / 'epoch_6.pth', '--show-path',
        tmp_path / 'confusion.png', '--include-values', cwd=tmp_path,
    )  # fmt: skip
    (scalars,) = run.glob('*/vis_data/scalars.json')
    start(
        'analysis_tools/analyze_logs.py', 'plot_curve', scalars, '--keys', 'loss',
        'long_tail/top1', '--out', tmp_path / 'curve.png', cwd=tmp_path,
    )  # fmt: skip
    for name in ('confusion.png', 'curve.png'):
        assert (tmp_path / name).read_bytes().startswith(b'\x89PNG')


def test_publish_model_where_safe_loading_is_switched_off(run, tmp_path, monkeypatch):
    """It loads without importing mmlt, and so without what lets a log be loaded safely."""
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    start(
        'model_converters/publish_model.py', run / 'epoch_6.pth', tmp_path / 'given.pth',
        cwd=tmp_path,
    )  # fmt: skip
    (published,) = tmp_path.glob('given*.pth')
    before = get_model(CONFIG, pretrained=str(run / 'epoch_6.pth')).state_dict()
    after = get_model(CONFIG, pretrained=str(published)).state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_cam(run, tmp_path):
    pytest.importorskip('pytorch_grad_cam', reason='vis_cam.py needs the package grad-cam')
    import cv2

    cv2.imwrite(str(tmp_path / 'one.png'), DigitsLT(split='test')[70]['img'])
    start(
        'visualization/vis_cam.py', tmp_path / 'one.png', CONFIG, run / 'epoch_6.pth',
        '--save-path', tmp_path / 'cam.png', '--target-layers', 'model.backbone.stages',
        cwd=tmp_path,
    )  # fmt: skip
    assert (tmp_path / 'cam.png').is_file()


@pytest.mark.parametrize(
    ('leaf', 'options'),
    [('resnet8_concutmix_car', {'model.head.label_start_epoch': 2}), ('resnet8_cpmix', {})],
)
def test_a_compiled_step_is_the_plain_one(leaf, options, tmp_path):
    """MMEngine's ``compile``, in the second epoch as well: views, pairs, labels, estimates."""
    states = []
    for name in ('plain', 'compiled'):
        chosen = dict(options, compile=dict(backend='eager') if name == 'compiled' else False)
        runner = digits_runner(tmp_path / name, leaf, 2, **chosen)
        runner.train()
        assert ('train_step' in vars(runner.model)) is (name == 'compiled')
        states.append(runner.model.state_dict())
    # Rounding alone: other draws in the last two of ten steps move some value by 0.04.
    for key, value in states[0].items():
        torch.testing.assert_close(
            states[1][key], value, rtol=0, atol=5e-4, msg=lambda error, key=key: f'{key}: {error}'
        )
