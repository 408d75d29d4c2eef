"""A run that was interrupted ends with the same weights as one that was not."""

import pytest
import torch

from tests.digits_runner import digits_runner


def final_state(work_dir):
    return torch.load(work_dir / 'epoch_4.pth', weights_only=True)


@pytest.mark.parametrize(
    ('leaf', 'num_workers'),
    [
        ('resnet8_ldam_drw', 0),
        pytest.param('resnet8_class_balanced', 2, marks=pytest.mark.slow),
        pytest.param('resnet8_ldam_drw', 2, marks=pytest.mark.slow),
        pytest.param('resnet8_class_balanced', 0, marks=pytest.mark.slow),
    ],
)
def test_resumed_equals_uninterrupted(tmp_path, leaf, num_workers):
    options = {
        'train_dataloader.num_workers': num_workers,
        'train_dataloader.persistent_workers': bool(num_workers),
        'default_hooks.checkpoint.save_best': None,
    }
    if leaf == 'resnet8_ldam_drw':
        options['default_hooks.reweighting.start_epoch'] = 2
    digits_runner(tmp_path / 'whole', leaf, max_epochs=4, **options).train()
    first = digits_runner(tmp_path / 'parts', leaf, max_epochs=4, **options)
    stop_after(first, epochs=3)
    digits_runner(tmp_path / 'parts', leaf, max_epochs=4, resume=True, **options).train()
    whole, parts = final_state(tmp_path / 'whole'), final_state(tmp_path / 'parts')
    for name, value in whole['state_dict'].items():
        torch.testing.assert_close(parts['state_dict'][name], value, rtol=0, atol=0, msg=name)


def stop_after(runner, epochs):
    """Interrupt a run in the middle of the epoch after ``epochs`` whole ones."""
    from mmengine.hooks import Hook

    class Killed(Exception):
        pass

    class Kill(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.epoch == epochs and batch_idx == 2:
                raise Killed

    runner.register_hook(Kill())
    with pytest.raises(Killed):
        runner.train()


def test_epochs_do_not_repeat_their_augmentations(tmp_path):
    from mmengine.hooks import Hook

    seen = []

    class Record(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if batch_idx == 0:
                seen.append(torch.rand(1).item())

    runner = digits_runner(tmp_path / 'a', max_epochs=2)
    runner.register_hook(Record())
    runner.train()
    assert len(set(seen)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    'sampler', [dict(type='DefaultSampler', shuffle=True), dict(type='ClassBalancedSampler')]
)
def test_a_run_without_a_seed_is_resumed_with_that_of_its_checkpoint(tmp_path, sampler):
    """MMEngine makes the sampler before it has read the checkpoint, with another seed."""
    options = {
        'randomness.seed': None,
        'default_hooks.checkpoint.save_best': None,
        'train_dataloader.sampler': dict(_delete_=True, **sampler),
    }
    whole = digits_runner(tmp_path / 'whole', max_epochs=2, **options)
    whole.train()
    first = torch.load(tmp_path / 'whole' / 'epoch_1.pth', weights_only=True)
    (tmp_path / 'whole' / 'epoch_2.pth').rename(tmp_path / 'expected.pth')
    (tmp_path / 'whole' / 'last_checkpoint').write_text(str(tmp_path / 'whole' / 'epoch_1.pth'))
    again = digits_runner(tmp_path / 'whole', max_epochs=2, resume=True, **options)
    assert again.seed != whole.seed == first['meta']['seed']
    again.train()
    expected = torch.load(tmp_path / 'expected.pth', weights_only=True)['state_dict']
    found = torch.load(tmp_path / 'whole' / 'epoch_2.pth', weights_only=True)['state_dict']
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0, msg=name)
