"""EMAConfusionHook in real runs on the digits: reports, schedule, EMAHook, resume."""

import json

import pytest
import torch
from mmengine.hooks import Hook

from mmlt.hooks.ema_confusion_hook import EMAConfusionHook
from tests.digits_runner import digits_runner


def car_runner(work_dir, max_epochs=1, hooks=(), resume=False, **hook_options):
    return digits_runner(
        work_dir,
        max_epochs=max_epochs,
        resume=resume,
        **{
            'model.head.loss': dict(
                _delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')
            ),
            'custom_hooks': [dict(type='EMAConfusionHook', **hook_options), *hooks],
            'default_hooks.logger': dict(type='LoggerHook', interval=1),
            'default_hooks.checkpoint.save_best': None,
        },
    )


def logged(work_dir):
    """All scalars that reached the visualiser, key -> list of values."""
    scalars = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            for key, value in json.loads(line).items():
                scalars.setdefault(key, []).append(value)
    return scalars


def test_report_reaches_log_and_visualiser_once_per_epoch(tmp_path, monkeypatch):
    runner = car_runner(tmp_path / 'a', max_epochs=2, num_pairs=3)
    messages = []
    monkeypatch.setattr(runner.logger, 'info', lambda text, *args: messages.append(str(text)))
    runner.train()
    scalars = logged(tmp_path / 'a')
    estimate = runner.model.head.loss_module.estimate
    assert len(scalars['confusion/spectral_norm']) == 2
    assert scalars['confusion/spectral_norm'][-1] == pytest.approx(float(estimate.norm))
    assert scalars['confusion/skipped_batches'] == [0, 0]
    weighted = estimate.row_weights * estimate.confusion.sum(dim=1)
    assert scalars['confusion/worst_class'][-1] == int(weighted.argmax())
    assert len(scalars['loss_car']) == len(scalars['loss_cls']) > 2
    reports = [text for text in messages if text.startswith('confusion:')]
    assert len(reports) == 2
    assert reports[-1].count('->') == 3 + 1  # three pairs and the heading


def test_no_report_on_other_ranks_and_between_intervals(tmp_path, monkeypatch):
    runner = car_runner(tmp_path / 'a', max_epochs=3, interval=2)
    runner.train()
    assert len(logged(tmp_path / 'a')['confusion/spectral_norm']) == 1
    hook = EMAConfusionHook()
    monkeypatch.setattr('mmlt.hooks.ema_confusion_hook.is_main_process', lambda: False)
    monkeypatch.setattr(hook, 'publish', lambda *args: pytest.fail('rank 1 reported'))
    hook.after_train_epoch(runner)


class RecordStrength(Hook):
    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 0:
            self.seen.append(runner.model.head.loss_module.strength)


def test_start_and_warm_up(tmp_path):
    runner = car_runner(tmp_path / 'a', max_epochs=4, start_epoch=1, warmup_epochs=2)
    record = RecordStrength()
    runner.register_hook(record)
    runner.train()
    assert record.seen == [0.0, 0.5, 1.0, 1.0]


def test_resume_restores_estimate_and_schedule(tmp_path):
    options = dict(start_epoch=1, warmup_epochs=4)
    ema = [dict(type='EMAHook', momentum=0.1)]
    car_runner(tmp_path / 'a', 2, hooks=ema, **options).train()
    saved = torch.load(tmp_path / 'a' / 'epoch_2.pth', weights_only=True)
    resumed = car_runner(tmp_path / 'a', 3, hooks=ema, resume=True, **options)
    record = RecordStrength()

    class CompareAtStart(Hook):
        compared = False

        def before_train_epoch(self, runner):
            for name, value in runner.model.head.loss_module.estimate.state_dict().items():
                key = f'head.loss_module.estimate.{name}'
                torch.testing.assert_close(value, saved['state_dict'][key])
            CompareAtStart.compared = True

    resumed.register_hook(record)
    resumed.register_hook(CompareAtStart())
    resumed.train()
    assert CompareAtStart.compared
    assert record.seen == [0.5]
    per_epoch = int(saved['state_dict']['head.loss_module.estimate.num_updates']) / 2
    assert int(resumed.model.head.loss_module.estimate.num_updates) == 3 * per_epoch


def test_ema_model_holds_the_estimate(tmp_path):
    runner = car_runner(tmp_path / 'a', hooks=[dict(type='EMAHook', momentum=0.1)])
    runner.train()
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    copied = hook.ema_model.module.head.loss_module.estimate
    torch.testing.assert_close(copied.confusion, runner.model.head.loss_module.estimate.confusion)


def test_wrapped_models(tmp_path):
    """A wrapper, as DDP is one, hides neither the estimate nor the loss."""
    runner = car_runner(tmp_path / 'a', start_epoch=1)
    runner.model = torch.nn.DataParallel(runner.model)
    runner.model.module.head.loss_module.set_class_counts(range(1, 11))
    hook = EMAConfusionHook(start_epoch=1)
    assert [name for name, _ in hook.estimates(runner)] == ['confusion']
    hook.before_train_epoch(runner)
    assert runner.model.module.head.loss_module.strength == 0


@pytest.mark.parametrize(
    'options', [{'num_pairs': -1}, {'interval': 0}, {'start_epoch': -1}, {'warmup_epochs': -1}]
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        EMAConfusionHook(**options)


def test_a_hook_without_anything_to_do_warns(tmp_path, monkeypatch):
    runner = digits_runner(
        tmp_path / 'a', 'resnet8_ce', **{'custom_hooks': [dict(type='EMAConfusionHook')]}
    )
    warnings = []
    monkeypatch.setattr(runner.logger, 'warning', lambda text, *args: warnings.append(str(text)))
    runner.train()
    assert any('nothing to do' in text for text in warnings)
