"""MMEngine's EMAHook beside ours: it copies the model, and pairs buffers by their position."""

from __future__ import annotations

import pytest
import torch

from tests.digits_runner import digits_runner
from tests.hooks.test_resume import stop_after

LEAVES = [
    *(
        pytest.param(leaf, marks=pytest.mark.slow)
        for leaf in ('resnet8_bcl', 'resnet8_ldam_drw', 'resnet8_concutmix_car', 'resnet8_cpmix')
    )
]


@pytest.mark.parametrize('update_buffers', [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize('leaf', LEAVES)
def test_trains_resumes_and_tests(tmp_path, leaf, update_buffers):
    hooks = [dict(type='EMAHook', momentum=0.1, update_buffers=update_buffers)]
    if leaf == 'resnet8_bcl':
        hooks.append(dict(type='DeferredReweightingHook', start_epoch=1))
    options = dict(custom_hooks=hooks)
    if leaf == 'resnet8_bcl':
        options['model.head.loss.prior'] = 0.5
    if leaf == 'resnet8_ldam_drw':
        options['default_hooks.reweighting.start_epoch'] = 1
    whole = digits_runner(tmp_path / 'whole', leaf, max_epochs=2, **options)
    whole.train()

    stop_after(digits_runner(tmp_path / 'parts', leaf, max_epochs=2, **options), epochs=1)
    resumed = digits_runner(tmp_path / 'parts', leaf, max_epochs=2, resume=True, **options)
    resumed.train()
    for (name, ours), theirs in zip(
        resumed.model.state_dict().items(), whole.model.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name

    path = tmp_path / 'whole' / 'epoch_2.pth'
    tester = digits_runner(tmp_path / 'test', leaf, load_from=str(path), **options)
    assert (
        tester.test()['long_tail/top1']
        == whole.message_hub.get_scalar('val/long_tail/top1').current()
    )
