"""``mmlt predict``, ``mmlt.predict`` and ``mmlt export``, on a network of an epoch of digits."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import replace
from pathlib import Path

import cv2
import mmengine
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from PIL import Image

import mmlt
from mmlt.apps.export.formats import Exported
from mmlt.apps.main import main
from mmlt.apps.model import load_model
from mmlt.apps.predict.images import SUFFIXES, find_images, other_files
from mmlt.apps.predict.prior import prior_offset
from mmlt.evaluation.collect import rank_classes
from mmlt.hooks.stored_recipe import store_recipe
from mmlt.recipe import KEY, Recipe
from tests.digits_runner import CONFIGS, digits_config, digits_runner
from tests.tools.load_tool import load_tool

IMAGES = 20


@pytest.fixture(autouse=True)
def own_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default scope of a config ends with its test."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``epoch_1.pth``, averaged by EMA, and the first test images in ``photos``."""
    folder = tmp_path_factory.mktemp('run')
    scopes = DefaultScope._instance_dict.copy()
    ema = [dict(type='EMAHook', momentum=0.5)]
    runner = digits_runner(
        folder, 'resnet8_concutmix_car', 1, custom_hooks=ema, test_evaluator=dict(topk=(1,))
    )
    runner.train()
    dataset = runner.test_dataloader.dataset
    (folder / 'photos').mkdir()
    for i in range(IMAGES):
        cv2.imwrite(str(folder / 'photos' / f'{i:02}.png'), dataset.get_data_info(i)['img'])
    DefaultScope._instance_dict = scopes
    return folder


def checkpoint_of(folder: Path, **changes: object) -> dict:
    """A checkpoint as MMEngine lays it out, of a network that was not trained."""
    cfg = digits_config(folder, 'resnet8_ce')
    recipe = Recipe.of_config(cfg)

    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        network = MODELS.build(recipe.model)
    told = dict(classes=[f'digit {k}' for k in range(10)], class_counts=[*range(100, 0, -10)])
    meta = {KEY: recipe.to_text(), 'dataset_meta': told, **changes}
    return dict(meta=meta, state_dict=network.state_dict())


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    torch.save(checkpoint_of(tmp_path), tmp_path / 'plain.pth')
    rng = np.random.default_rng(0)
    (tmp_path / 'photos').mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / f'photos/{i}.png'), rng.integers(0, 256, (8, 8, 3), np.uint8))
    return tmp_path


def test_predictions_are_those_of_the_test_tool(run: Path) -> None:
    """Several views in training, averaged weights, and an image size that only the data knows."""
    config = str(CONFIGS / 'digits_lt' / 'resnet8_concutmix_car.py')
    checkpoint = str(run / 'epoch_1.pth')
    tool = load_tool('test.py')
    tool.main([config, checkpoint, '--out', str(run / 'out.pkl'), '--work-dir', str(run / 'test')])
    expected = mmengine.load(run / 'out.pkl')[:IMAGES]
    found = mmlt.predict(checkpoint, run / 'photos', batch_size=7)
    expected = torch.stack([one['pred_score'] for one in expected]).numpy()
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    assert found.classes == tuple('0123456789')
    assert not found.skipped
    averaged = torch.load(checkpoint, weights_only=True)
    assert 'ema_state_dict' in averaged
    averaged['state_dict'] = {
        name.removeprefix('module.'): value for name, value in averaged['ema_state_dict'].items()
    }
    torch.save(averaged, run / 'other.pth')
    other = mmlt.predict(run / 'other.pth', run / 'photos')
    assert np.abs(other.probabilities - expected).max() > 1e-4


@pytest.mark.parametrize(
    'name', ['torchscript', 'safetensors', pytest.param('onnx', marks=pytest.mark.slow)]
)
def test_an_exported_file_predicts_the_same(
    run: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture
) -> None:
    if name == 'onnx':
        for package in ('onnx', 'onnxruntime', 'onnxscript'):
            pytest.importorskip(package)
    out = tmp_path / f'x{dict(torchscript=".pt", safetensors=".safetensors", onnx=".onnx")[name]}'
    command = ['export', str(run / 'epoch_1.pth'), '--format', name, '--out', str(out)]
    assert main([*command, '--images', str(run / 'photos')]) == 0
    assert 'largest difference' in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    expected = mmlt.predict(run / 'epoch_1.pth', run / 'photos', test_prior='train')
    found = mmlt.predict(out, run / 'photos', batch_size=3, test_prior='train')
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert found.classes == expected.classes
    with pytest.raises(SystemExit, match='2'):
        main([*command, '--images', str(run / 'photos')])
    assert 'force' in capsys.readouterr().err


def test_a_file_that_predicts_something_else_is_not_written(
    plain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    forward = Exported.forward
    monkeypatch.setattr(Exported, 'forward', lambda self, x: forward(self, x.flip(3)))
    out = plain / 'x.pt'
    command = ['export', str(plain / 'plain.pth'), '--format', 'torchscript', '--out', str(out)]
    assert main([*command, '--images', str(plain / 'photos')]) == 2
    assert 'nothing was written' in capsys.readouterr().err
    assert not list(plain.glob('*x.pt'))


@pytest.mark.parametrize('to_rgb', [False, True])
@pytest.mark.parametrize('first', ['LoadImageFromFile', 'NumpyToPIL', 'PackInputs'])
def test_exported_graphs_take_red_first(plain: Path, to_rgb: bool, first: str) -> None:
    """Whatever comes first in the pipeline, and in the network."""
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    if first == 'NumpyToPIL':
        turned = [dict(type='NumpyToPIL', to_rgb=True), dict(type='PILToNumpy')]
        pipeline[1:1] = turned
    elif first == 'PackInputs':
        pipeline = pipeline[1:]
    checkpoint = checkpoint_of(plain)
    recipe = Recipe.from_text(checkpoint['meta'][KEY])
    recipe.model['data_preprocessor'].update(to_rgb=to_rgb, mean=[9, 50, 90], std=[50, 70, 99])
    checkpoint['meta'][KEY] = replace(recipe, pipeline=pipeline).to_text()
    torch.save(checkpoint, plain / 'plain.pth')
    model = load_model(plain / 'plain.pth', device='cpu')
    path = str(plain / 'photos' / '0.png')
    red_first = torch.from_numpy(cv2.imread(path)[..., ::-1].transpose(2, 0, 1).copy()).float()
    image = model.prepare(path)
    with torch.no_grad():
        found = Exported(model).eval()(red_first[None])
    np.testing.assert_allclose(found.numpy(), model([image]), atol=1e-6)


def test_broken_images_are_named_and_skipped(plain: Path, capsys: pytest.CaptureFixture) -> None:
    photos = plain / 'photos'
    (photos / 'empty.png').touch()
    (photos / 'text.jpg').write_text('no image')
    whole = cv2.imencode('.jpg', np.full((64, 64, 3), 99, np.uint8))[1].tobytes()
    (photos / 'cut.jpg').write_bytes(whole[: len(whole) // 2])
    (photos / 'whole.jpg').write_bytes(whole)
    (photos / 'raw.heic').touch()
    out = plain / 'out.json'
    assert main(['predict', str(plain / 'plain.pth'), str(photos), '--out', str(out)]) == 0
    told = json.loads(out.read_text())
    assert [Path(one['path']).name for one in told['skipped']] == [
        'cut.jpg',
        'empty.png',
        'text.jpg',
    ]
    assert [Path(one['path']).name for one in told['images']] == [
        '0.png',
        '1.png',
        '2.png',
        'whole.jpg',
    ]
    assert len(told['images'][0]['best']) == 3
    error = capsys.readouterr().err
    assert '3 of 7 images could not be read' in error
    assert '1 files of other kinds (.heic 1), not used' in error
    assert len(error.splitlines()) == 5
    (photos / 'sub').mkdir()
    (photos / 'sub' / 'empty.png').touch()
    assert main(['predict', str(plain / 'plain.pth'), str(photos / 'sub')]) == 1


def test_table_csv_and_names_of_all_kinds(plain: Path, capsys: pytest.CaptureFixture) -> None:
    names = ['=1+1', 'ку\x1b[2J', *'abcdefgh']
    checkpoint = checkpoint_of(plain)
    checkpoint['meta']['dataset_meta']['classes'] = names
    torch.save(checkpoint, plain / 'plain.pth')
    command = ['predict', str(plain / 'plain.pth'), str(plain / 'photos'), '--top-k', '20']
    assert main(command) == 0
    table = capsys.readouterr().out
    assert len(table.splitlines()) == 3
    assert '=1+1 0.' in table
    assert '\x1b' not in table
    assert main([*command, '--out', str(plain / 'x.csv')]) == 0
    rows = list(csv.reader((plain / 'x.csv').open(encoding='utf-8', newline='')))
    assert rows[0][:3] == ['path', 'class_1', 'probability_1']
    assert len(rows[1]) == 21
    assert "'=1+1" in rows[1]
    assert sum(float(share) for share in rows[1][2::2]) == pytest.approx(1, abs=1e-5)
    with pytest.raises(SystemExit):
        main([*command, '--out', str(plain / 'x.csv')])


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['no.pth', 'photos'], 'model: expected a checkpoint or an exported file, got no file'),
        (['plain.pth', 'nowhere'], 'images: expected an image, a folder or a list, got no'),
        (['plain.pth', 'bare'], 'images: expected images'),
        (['plain.pth', 'photos', '--device', 'toaster'], 'device: expected a device'),
        (
            ['plain.pth', 'photos', '--test-prior', 'odd'],
            "test-prior: expected 'uniform', 'train' or a file",
        ),
        (['stock.pth', 'photos'], 'stock.pth: expected a checkpoint that a run with LongTailHook'),
        (['note.pth', 'photos'], 'model: expected a checkpoint that loads safely, got'),
        (['plain.pth', 'photos', '--config', 'no.py'], 'config: expected a config file, got no'),
    ],
)
def test_one_line_says_what_is_wrong(
    plain: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(plain)
    Path('bare').mkdir()
    stock = checkpoint_of(plain)
    del stock['meta'][KEY]
    torch.save(stock, 'stock.pth')
    Path('note.pth').write_text('a note')
    assert main(['predict', *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f'mmlt predict: error: {said}')
    assert error.count('\n') == 1


def test_a_config_takes_the_place_of_the_description(plain: Path) -> None:
    expected = mmlt.predict(plain / 'plain.pth', plain / 'photos')
    stock = checkpoint_of(plain)
    del stock['meta'][KEY]
    torch.save(stock, plain / 'stock.pth')
    config = CONFIGS / 'digits_lt' / 'resnet8_ce.py'
    found = mmlt.predict(plain / 'stock.pth', plain / 'photos', config=config)
    assert (found.probabilities == expected.probabilities).all()


def test_uniform_prior_is_post_hoc_logit_adjustment(plain: Path) -> None:
    images = [plain / 'photos' / f'{i}.png' for i in range(3)]
    raw = mmlt.predict(plain / 'plain.pth', images)
    even = mmlt.predict(plain / 'plain.pth', images, test_prior='uniform')
    counts = [*range(100, 0, -10)]
    ranked = rank_classes(torch.from_numpy(raw.probabilities), 10, counts, post_hoc_tau=1.0)
    assert (np.argsort(-even.probabilities, axis=1) == ranked.numpy()).all()
    np.testing.assert_allclose(even.probabilities.sum(axis=1), 1, rtol=1e-6)
    same = mmlt.predict(plain / 'plain.pth', images, test_prior='train')
    np.testing.assert_allclose(same.probabilities, raw.probabilities, rtol=1e-5)
    prior = plain / 'prior.csv'
    prior.write_text(''.join(f'digit {k},{int(k == 4)}\n' for k in range(10)))
    only = mmlt.predict(plain / 'plain.pth', images, test_prior=str(prior))
    assert only.names == ['digit 4'] * 3


@pytest.mark.parametrize(
    ('leaf', 'power'),
    [
        ('resnet8_ce', 1),
        ('resnet8_car', 1),
        ('resnet8_logit_adjustment', 0),
        ('resnet8_logit_adjustment_car', 0),
        ('resnet8_concutmix_car', 0),
        ('resnet8_class_balanced', 0),
        ('resnet8_ldam_drw', 0),
        ('resnet8_cpmix', 0),
        ('resnet8_remix', 0),
    ],
)
def test_the_prior_that_a_recipe_is_made_for(leaf: str, power: float) -> None:
    recipe = Recipe.of_config(Config.fromfile(CONFIGS / 'digits_lt' / f'{leaf}.py'))
    assert recipe.prior_power == power
    assert bool(recipe.corrections) == (power != 1)
    assert Recipe.from_text(recipe.to_text()) == recipe
    recipe.check()


def test_prior_of_a_rebalanced_and_of_a_half_adjusted_model() -> None:
    cfg = Config.fromfile(CONFIGS / 'digits_lt' / 'resnet8_logit_adjustment.py')
    cfg.model.head.loss.tau = 0.25
    recipe = Recipe.of_config(cfg)
    assert recipe.prior_power == 0.75
    rebalanced = dict(rebalanced_classifier=dict(method='logit_adjustment', tau=0.5))
    assert recipe.with_meta(rebalanced).prior_power == 0.25
    told = dict(dataset_meta=dict(class_counts=[8, 2]))
    offset = prior_offset(recipe.with_meta(told), ('a', 'b'), 'uniform')
    np.testing.assert_allclose(offset[1] - offset[0], 0.75 * np.log(4))


@pytest.mark.slow
def test_every_recipe_of_the_project_describes_its_model() -> None:
    for path in sorted(CONFIGS.glob('*/*.py')):
        if path.parent.name in ('_base_', 'metafiles'):
            continue
        recipe = Recipe.of_config(Config.fromfile(path))
        recipe.check()
        assert Recipe.from_text(recipe.to_text()) == recipe, path


def test_lists_are_read_with_and_without_labels(tmp_path: Path) -> None:
    (tmp_path / 'a b').mkdir()
    for name in ('a b/1.png', '2.png', '3.png 7'):
        (tmp_path / name).touch()
    listed = tmp_path / 'list.txt'
    listed.write_text('a b/1.png 3\n2.png\n3.png 7\n\ngone.png 1\n2.png 0\n')
    found = [Path(path).relative_to(tmp_path).as_posix() for path in find_images([listed])]
    assert found == ['a b/1.png', '2.png', '3.png 7', 'gone.png']


def test_images_of_every_suffix_are_read_and_other_files_counted(tmp_path: Path) -> None:
    picture = Image.new('RGB', (40, 40), 'red')
    for suffix in SUFFIXES:
        Image.init()
        if suffix == '.avif' and '.avif' not in Image.registered_extensions():
            continue
        kind = 'PPM' if suffix == '.pnm' else Image.registered_extensions()[suffix]
        picture.save(tmp_path / f'x{suffix}', kind)
    for name in ('1.gif.part', '2.HEIC', '3.heic', 'Makefile', '.hidden', 'list.txt', 'about.md'):
        (tmp_path / name).touch()
    found = find_images([tmp_path])
    assert len(found) == len(list(tmp_path.glob('x.*')))
    for path in found:
        # .gif and .avif: as far as this cv2 has them.
        if cv2.haveImageReader(path) or not path.endswith(('.gif', '.avif')):
            loaded = LoadImageFromFile()(dict(img_path=path))['img']
            assert loaded.shape == (40, 40, 3), path
    expected = '4 files of other kinds (.heic 2, .part 1, no suffix 1), not used'
    assert other_files([tmp_path]) == expected
    assert other_files([]) == ''


def test_links_in_a_circle_are_walked_once(tmp_path: Path) -> None:
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b' / '1.png').touch()
    (tmp_path / 'b' / 'up').symlink_to(tmp_path)
    assert len(find_images([tmp_path])) == 1


def test_images_of_several_sizes_share_a_batch(plain: Path) -> None:
    recipe = Recipe.from_text(torch.load(plain / 'plain.pth')['meta'][KEY])
    assert recipe.image_size is None
    cv2.imwrite(str(plain / 'photos' / '9.png'), np.zeros((12, 16, 3), np.uint8))
    found = mmlt.predict(plain / 'plain.pth', plain / 'photos')
    alone = mmlt.predict(plain / 'plain.pth', plain / 'photos' / '9.png')
    np.testing.assert_allclose(found.probabilities[3], alone.probabilities[0], atol=1e-6)


class _Runner:
    """As far as it is looked at."""

    def __init__(self, cfg: Config) -> None:
        import logging

        self.cfg, self.logger = cfg, logging.getLogger('none')


def test_a_run_without_a_config_is_saved_all_the_same() -> None:
    for cfg in (Config(), Config(dict(model=dict(type=len)))):
        checkpoint: dict = dict(meta={})
        store_recipe(_Runner(cfg), checkpoint)
        assert checkpoint == dict(meta={})


HOSTILE = [
    dict(type='os.system', command='touch hacked'),
    dict(type='subprocess.call', args=['touch', 'hacked']),
    dict(type='hacked.Model'),
    dict(type='ImageClassifier', backbone=dict(type='builtins.exec', source='open("hacked", "w")')),
    dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=18, _scope_='hacked')),
    dict(type='hacked::ResNet'),
    dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=18), custom_imports=['hacked']),
    dict(
        type='ImageClassifier',
        backbone=dict(
            type='ResNet',
            depth=18,
            init_cfg=dict(type='Pretrained', checkpoint='http://localhost:1/hacked.pth'),
        ),
    ),
    dict(type='ImageClassifier', pretrained='http://localhost:1/hacked.pth'),
    dict(type='TimmClassifier', model_name='resnet18', pretrained=True),
    dict(type='ImageClassifier', backbone=dict(type='TIMMBackbone', model_name='hf_hub:a/b')),
    dict(type='ImageClassifier', backbone=dict(type='TIMMBackbone', model_name='local-dir:/a')),
    dict(
        type='ImageClassifier',
        backbone=dict(type='TIMMBackbone', model_name='resnet18', pretrained=True),
    ),
    dict(
        type='ImageClassifier',
        backbone=dict(type='TIMMBackbone', model_name='resnet18', checkpoint_path='/a.pth'),
    ),
    dict(type='HuggingFaceClassifier', model_name='a/b', trust_remote_code=True),
    dict(type='CLIPGenerator', tokenizer_path='http://localhost:1/hacked.pth'),
    dict(type=['os.system']),
    dict(type='ResNet', depth=18),
    'a text',
]


def test_a_network_of_timm_by_name_is_a_description() -> None:
    backbone = dict(type='TIMMBackbone', model_name='tf_efficientnet_lite0')
    Recipe(dict(type='ImageClassifier', backbone=backbone), [dict(type='PackInputs')]).check()


def test_a_model_is_built_in_silence(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of timm log their layers, to where the answer goes."""
    build, logger, said = MODELS.build, MMLogger.get_current_instance(), []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    def talkative(config: dict) -> object:
        logger.info('layer 1')
        logger.error('a mistake')
        return build(config)

    monkeypatch.setattr(MODELS, 'build', talkative)
    monkeypatch.setattr(logger, 'handlers', [Collect()])
    level = logger.level
    load_model(plain / 'plain.pth')
    assert 'a mistake' in said and 'layer 1' not in said
    assert logger.level == level


@pytest.mark.parametrize('model', HOSTILE, ids=str)
def test_a_hostile_description_runs_nothing(
    plain: Path, monkeypatch: pytest.MonkeyPatch, model: object
) -> None:
    monkeypatch.chdir(plain)
    monkeypatch.syspath_prepend(str(plain))
    for name in ('hacked.py', 'hacked_registry.py'):
        Path(name).write_text('open("marker", "w")')
    before = sorted(path.name for path in plain.iterdir())
    monkeypatch.setattr('socket.socket.connect', lambda *_: pytest.fail('asks a server'))
    checkpoint = torch.load(plain / 'plain.pth')
    values = json.loads(checkpoint['meta'][KEY])
    checkpoint['meta'][KEY] = json.dumps({**values, 'model': model})
    torch.save(checkpoint, plain / 'plain.pth')
    with pytest.raises(ValueError, match=r'plain\.pth: '):
        load_model('plain.pth')
    checkpoint['meta'][KEY] = json.dumps({**values, 'pipeline': [model]})
    torch.save(checkpoint, plain / 'plain.pth')
    with pytest.raises(ValueError, match=r'plain\.pth: '):
        load_model('plain.pth')
    assert sorted(path.name for path in plain.iterdir()) == before


@pytest.mark.parametrize(
    'text',
    [
        '',
        '[]',
        'null',
        '3',
        '{"model": null}',
        '{"model": {}, "pipeline": [], "x": 1}',
        '[' * 10**5,
    ],
    ids=lambda text: text[:20],
)
def test_another_text_is_no_description(text: str) -> None:
    with pytest.raises(ValueError, match='expected the description of a model'):
        Recipe.from_text(text)
