"""Faults that a tool sees before anything is built: one plain line each."""

from __future__ import annotations

import signal

import preflight
import pytest
import start_ranks
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from preflight import Faults, find_faults, find_warnings, read_config, run_tool

from mmlt.datasets import LongTailListDataset
from mmlt.functional.checks import refuse
from tests.digits_runner import CONFIGS, digits_config
from tests.tools.load_tool import TOOLS, load_tool


def listed(tmp_path, lines, **options):
    """A training loader over a list, as a config."""
    (tmp_path / 'train.txt').write_text(lines)
    for name in ('a.png', 'b.png'):
        (tmp_path / name).write_bytes(b'x')
    dataset = dict(
        type='LongTailListDataset', data_root=str(tmp_path), ann_file='train.txt', **options
    )
    loader = dict(batch_size=4, dataset=dataset)
    head = dict(type='LinearClsHead', num_classes=2)
    return Config(dict(default_scope='mmpretrain', model=dict(head=head), train_dataloader=loader))


TWO = 'a.png 0\nb.png 1\n'


def faults(cfg, *loaders, world_size=1):
    return find_faults(cfg, loaders or ('train_dataloader',), world_size)


def test_a_sound_run_has_none(tmp_path):
    cfg = digits_config(tmp_path, 'resnet8_concutmix_car')
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    assert faults(cfg, *loaders) == []
    assert faults(listed(tmp_path, TWO)) == []


def test_a_benchmark_without_data_is_one_line_that_says_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(CONFIGS / 'imagenet_lt' / 'resnext50_concutmix_car.py')
    (line,) = faults(cfg, 'train_dataloader', 'val_dataloader')
    assert line.startswith('train_dataloader, val_dataloader: data_root: expected the folder')
    assert 'docs/get_started.md' in line and 'mmlt check' in line and '\n' not in line


@pytest.mark.parametrize(
    ('lines', 'options', 'message'),
    [
        ('a.png 0\nc.png 1\n', {}, r'train\.txt, line 2: expected the image .*c\.png.*own_data'),
        ('a.png 0\nb.png one\n', {}, "train.txt, line 2: expected 'path label'"),
        (TWO, dict(ann_file='nope.txt'), r'ann_file: expected a list file, got no .*nope\.txt'),
        (TWO, dict(data_root='nowhere'), 'data_root: expected the folder of the data, got no now'),
        (TWO, dict(data_prefix='nowhere'), 'data_prefix: expected'),
        (TWO, dict(type='NoSuch'), "type: expected a registered data set, got 'NoSuch'"),
        (TWO, dict(num_classes=0), 'num_classes: expected an integer in'),
        (TWO, dict(pipeline=[dict(type='NoSuch')]), "pipeline: expected dict.* got .*'NoSuch'"),
        ('a.png 0\nb.png 2\n', {}, 'model.head.num_classes: expected 3, .* got 2'),
    ],
)
def test_a_fault_of_a_list_is_one_line(tmp_path, lines, options, message):
    cfg = listed(tmp_path, lines)
    cfg.train_dataloader.dataset.update(options)
    cfg.train_dataloader.dataset = dict(type='PairedDataset', dataset=cfg.train_dataloader.dataset)
    (line,) = faults(cfg)
    assert line.startswith('train_dataloader: ') and '\n' not in line
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(line)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(ann_file='train.txt'), 'train.txt, line 2: expected the image'),
        (dict(ann_file='nope.txt'), 'ann_file: expected a list file, got no'),
        (dict(data_prefix='nowhere'), 'data_prefix: expected the folder of images'),
    ],
)
def test_data_sets_of_mmpretrain_are_looked_at_too(tmp_path, options, message):
    cfg = listed(tmp_path, 'a.png 0\nc.png 1\n')
    cfg.train_dataloader.dataset = dict(type='CustomDataset', data_root=str(tmp_path), **options)
    (line,) = faults(cfg)
    assert message in line and 'CustomDataset' in line


def test_a_validation_set_may_lack_classes_but_not_have_more(tmp_path):
    cfg = listed(tmp_path, TWO)
    cfg.val_dataloader = cfg.train_dataloader
    cfg.model.head.num_classes = 3
    assert faults(cfg, 'val_dataloader') == []
    cfg.model.head.num_classes = 1
    assert 'got 1' in faults(cfg, 'val_dataloader')[0]


def test_weights_that_are_not_there(tmp_path):
    cfg = listed(tmp_path, TWO)
    cfg.load_from = 'nope.pth'
    cfg.model.backbone = dict(
        type='ResNet', init_cfg=[dict(type='Pretrained', checkpoint='gone.pth')]
    )
    assert faults(cfg) == [
        'load_from: expected the path of a checkpoint, got no nope.pth',
        'model.backbone.init_cfg[0].checkpoint: expected the path of a checkpoint, got no gone.pth',
    ]
    # A test loads one checkpoint, and MMEngine reads initial weights where it trains.
    assert [line.partition(':')[0] for line in faults(cfg, 'val_dataloader')] == ['load_from']
    cfg.model.backbone = dict(type='TunedBackbone', backbone=cfg.model.backbone)
    assert len(faults(cfg, 'val_dataloader')) == 2
    cfg.model.backbone = cfg.model.backbone.backbone
    cfg.load_from = 'https://example.org/x.pth'
    cfg.model.backbone.init_cfg[0].checkpoint = 'torchvision://resnet50'
    assert faults(cfg) == []


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'optim_wrapper.optimizer.type': 'SGDD'},
            "optim_wrapper.optimizer.type: expected a registered optimizer, got 'SGDD'",
        ),
        (
            {'optim_wrapper.optimizer.type': 5},
            'optim_wrapper.optimizer.type: expected a registered optimizer, got 5',
        ),
        (
            {'optim_wrapper.optimizer.lr': float('nan')},
            'optim_wrapper.optimizer.lr: expected a finite number, got nan',
        ),
        (
            {'optim_wrapper.optimizer.lr': '1e-3 '},
            "optim_wrapper.optimizer.lr: expected a finite number, got '1e-3 '",
        ),
        (
            {'optim_wrapper.optimizer.weight_decay': float('inf')},
            'optim_wrapper.optimizer.weight_decay: expected a finite number, got inf',
        ),
        (
            {'log_level': 'info'},
            "log_level: expected 'DEBUG', 'INFO', 'WARNING' or 'ERROR', got 'info'",
        ),
        (
            {'train_cfg.val_interval': 0},
            'train_cfg.val_interval: expected an integer of at least 1, got 0',
        ),
        (
            {'train_cfg.max_epochs': '20'},
            "train_cfg.max_epochs: expected an integer of at least 1, got '20'",
        ),
        (
            {'train_cfg.val_interval': -1},
            'train_cfg.val_interval: expected an integer of at least 1, got -1',
        ),
        (
            {'train_cfg.val_interval': float('nan')},
            'train_cfg.val_interval: expected an integer of at least 1, got nan',
        ),
        (
            {'train_cfg.max_epochs': 1.5},
            'train_cfg.max_epochs: expected an integer of at least 1, got 1.5',
        ),
        (
            {'val_dataloader.batch_size': 0.5},
            'val_dataloader.batch_size: expected an integer of at least 1, got 0.5',
        ),
        (
            {'train_dataloader.collate_fn': dict(type='nope')},
            "train_dataloader.collate_fn.type: expected a registered function, got 'nope'",
        ),
        (
            {'val_dataloader.worker_init_fn': dict(type='nope')},
            "val_dataloader.worker_init_fn.type: expected a registered function, got 'nope'",
        ),
    ],
)
def test_parts_that_mmengine_does_not_miss_before_it_calls_them(tmp_path, options, message):
    cfg = digits_config(tmp_path, 'resnet8_ce', **options)
    assert find_faults(cfg, ['train_dataloader', 'val_dataloader']) == [message]


@pytest.mark.parametrize('kind', ['AdamW', 'mmengine.SGD', torch.optim.SGD, 'Lamb'])
def test_any_registered_optimizer_is_taken(tmp_path, kind):
    options = {
        'optim_wrapper.optimizer.type': kind,
        'train_dataloader.collate_fn': dict(type='default_collate'),
    }
    assert not find_faults(digits_config(tmp_path, 'resnet8_ce', **options), ['train_dataloader'])


def test_whole_numbers_that_mmengine_takes_are_taken(tmp_path):
    options = {'train_cfg.max_epochs': 1e2, 'train_cfg.val_interval': float('inf')}
    assert not find_faults(digits_config(tmp_path, 'resnet8_ce', **options), ['train_dataloader'])
    endless = digits_config(tmp_path, 'resnet8_ce', **{'train_cfg.max_epochs': float('inf')})
    (line,) = find_faults(endless, ['train_dataloader'])
    assert line == 'train_cfg.max_epochs: expected an integer of at least 1, got inf'


def test_weights_in_the_home_folder_are_there(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'w.pth').write_bytes(b'x')
    cfg = listed(tmp_path, TWO)
    cfg.load_from = '~/w.pth'
    assert faults(cfg) == []


def test_frozen_stages_need_weights(tmp_path):
    options = {'model.backbone.frozen_stages': 3}
    cfg = digits_config(tmp_path, 'resnet8_ce', **options)
    (line,) = faults(cfg)
    assert line == (
        'frozen_stages of CIFARResNet: expected trained weights for what does not learn, by '
        "load_from or init_cfg=dict(type='Pretrained', ...), got none with frozen_stages=3"
    )
    assert faults(cfg, 'test_dataloader') == []
    (tmp_path / 'weights.pth').touch()
    weights = str(tmp_path / 'weights.pth')
    pretrained = dict(type='Pretrained', checkpoint=weights)
    for loads in (
        {'load_from': weights},
        {'resume': True},
        {'model.backbone.init_cfg': pretrained},
        {'model.backbone.frozen_stages': -1},
    ):
        cfg = digits_config(tmp_path, 'resnet8_ce', **{**options, **loads})
        assert faults(cfg) == [], loads


def test_a_test_needs_no_optimizer(tmp_path):
    cfg = digits_config(tmp_path, 'resnet8_ce', **{'optim_wrapper.optimizer.type': 'SGDD'})
    assert not find_faults(cfg, ['test_dataloader'])


def test_a_total_batch_that_leaves_no_batch(tmp_path):
    cfg = listed(tmp_path, TWO)
    cfg.train_dataloader.update(batch_size=1, drop_last=True)
    assert faults(cfg, world_size=2) == []
    assert 'got 1: with drop_last an epoch has no batch' in faults(cfg, world_size=3)[0]


def test_only_lists_are_read(tmp_path, monkeypatch):
    """A big data set of another kind would be read twice, or waited for on one rank."""

    def read(self):
        raise AssertionError('read')

    monkeypatch.setattr('mmpretrain.datasets.CIFAR10.load_data_list', read)
    cfg = Config.fromfile(CONFIGS / 'cifar10_lt' / 'resnet32_ce_ir100.py')
    assert faults(cfg) == []


def test_a_config_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(Faults, match=r'config: expected the path of a config file, got no nope'):
        read_config('nope.py')
    for text in ("_base_ = 'nope.py'", 'model = (', "raise KeyError('x')"):
        path = tmp_path / 'config.py'
        path.write_text(text)
        with pytest.raises(Faults) as fault:
            read_config(str(path))
        (line,) = fault.value.lines
        assert line.startswith(f'config: expected a config, got {path}: ') and '\n' not in line


def test_more_processes_than_cores_are_a_warning(monkeypatch):
    monkeypatch.setattr(preflight.torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(preflight, 'cpu_cores', lambda: 2)
    for processes, warned in (('2', False), ('8', True)):
        monkeypatch.setenv('LOCAL_WORLD_SIZE', processes)
        assert bool(find_warnings()) == warned
    assert find_warnings() == ['8 processes share the 2 CPU cores here; 2 would be faster']


@pytest.mark.parametrize(
    ('error', 'printed'),
    [
        (Faults(['one', 'two']), 'error: one\nerror: two\n'),
        (refuse('tau', 'a number', 'abc'), "error: tau: expected a number, got 'abc'\n"),
    ],
)
@pytest.mark.parametrize('rank', ['0', '1'])
def test_one_rank_prints_and_all_end_with_2(monkeypatch, capsys, rank, error, printed):
    def main():
        raise error

    seen = []
    monkeypatch.setattr(preflight.time, 'sleep', lambda _: seen.append(capsys.readouterr().err))
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'x')
    monkeypatch.setenv('SLURM_LOCALID', '0')
    monkeypatch.setenv('LOCAL_RANK', rank)
    with pytest.raises(SystemExit) as end:
        run_tool(main)
    assert end.value.code == 2
    assert capsys.readouterr().err == printed
    assert seen == ([''] if rank == '1' else []), 'the others wait to be ended'


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'model.head.loss.taus': 1}, "got an unexpected keyword argument 'taus'"),
        ({'model.head.nums': 1}, "got an unexpected keyword argument 'nums'"),
        ({'model.head.loss.type': 'Los'}, 'Los is not in the mmpretrain::model registry'),
        ({'default_hooks.logger.nums': 1}, "got an unexpected keyword argument 'nums'"),
    ],
)
def test_a_part_that_does_not_exist_or_fit_is_one_line(tmp_path, capsys, options, said):
    cfg = digits_config(tmp_path, 'resnet8_logit_adjustment', launcher='none', **options)
    with pytest.raises(SystemExit) as end:
        run_tool(lambda: load_tool('train.py').build(cfg).train())
    assert end.value.code == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith('error: ')]
    assert line.startswith('error: config: expected parts that exist, ') and line.endswith(said)


def test_an_error_of_a_part_itself_is_not_hidden(tmp_path):
    @HOOKS.register_module()
    class Broken(Hook):
        def __init__(self):
            {}['x']

    cfg = digits_config(tmp_path, launcher='none', custom_hooks=[dict(type=Broken)])
    with pytest.raises(KeyError):
        run_tool(lambda: load_tool('train.py').build(cfg))


def test_the_launcher_is_silent_about_faults_only():
    class Record:
        def __init__(self, text):
            self.getMessage = lambda: text

    assert start_ranks.is_about_faults(Record('failed (exitcode: 2) local_rank: 0'))
    assert start_ranks.is_about_faults(Record('Sending process 3 closing signal SIGTERM'))
    assert not start_ranks.is_about_faults(Record('failed (exitcode: 1) local_rank: 0'))


def test_ranks_that_a_signal_ends_have_time_to_save(monkeypatch):
    waited = []

    def close(context, death_sig=None, timeout=30):
        waited.append((context, death_sig, timeout))

    monkeypatch.setattr(start_ranks.PContext, 'close', close)
    start_ranks.give_time_to_save()
    start_ranks.PContext.close('a rank has failed', signal.SIGTERM)
    try:
        raise start_ranks.SignalException('', signal.SIGUSR1)
    except start_ranks.SignalException as error:
        start_ranks.PContext.close('a signal', error.sigval)
    assert waited == [
        ('a rank has failed', signal.SIGTERM, 30),
        ('a signal', signal.SIGUSR1, start_ranks.SECONDS_TO_SAVE),
    ]


def test_lists_are_read_once_more_without_their_log(tmp_path, monkeypatch):
    """``full_init`` would log the classes without images twice."""
    monkeypatch.setattr(LongTailListDataset, 'full_init', lambda self: 1 / 0)
    assert faults(listed(tmp_path, TWO)) == []


@pytest.mark.parametrize(('processes', 'looks'), [('2', False), ('3', True), ('gpu', False)])
@pytest.mark.parametrize('tool', ['train', 'test'])
def test_the_launcher_looks_first_where_ranks_start_slowly(
    monkeypatch, capsys, tmp_path, tool, processes, looks
):
    monkeypatch.setattr(start_ranks, 'cpu_cores', lambda: 2)
    monkeypatch.setattr(start_ranks.importlib, 'import_module', tools_of_here)
    started = []
    monkeypatch.setattr(start_ranks, 'run', started.append)
    config = CONFIGS / 'imagenet_lt' / 'resnext50_ce.py'
    arguments = [str(config), *(['last.pth'] if tool == 'test' else []), '--launcher', 'pytorch']
    monkeypatch.chdir(tmp_path)
    command = ['--nproc_per_node', processes, str(TOOLS / f'{tool}.py'), *arguments]
    if looks:
        with pytest.raises(SystemExit) as end:
            start_ranks.main(command)
        assert end.value.code == 2
        assert 'data_root: expected the folder' in capsys.readouterr().err
    else:
        assert start_ranks.main(command) == 0
    assert bool(started) != looks


def tools_of_here(name):
    """``test`` is the standard library's here, where pytest has imported it."""
    return preflight if name == 'preflight' else load_tool(f'{name}.py')
