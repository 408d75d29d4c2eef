"""The running prior: plain mean first, exponential later."""

import torch

from mmlt.functional.logit_adjustment import blended_log_prior, update_running_prior


def test_the_first_steps_are_a_plain_mean():
    masses = torch.tensor([[3.0, 1.0], [0.0, 4.0], [2.0, 2.0]])
    prior = torch.tensor([0.9, 0.1])
    running, steps = prior, torch.tensor(0)
    for mass in masses:
        running, steps = update_running_prior(running, mass, steps, momentum=0.999)
    assert steps == 3
    mean = (prior + (masses / 4).sum(0)) / 4
    torch.testing.assert_close(running, mean)


def test_later_steps_forget_exponentially():
    running, _ = update_running_prior(
        torch.tensor([1.0, 0.0]), torch.tensor([0.0, 8.0]), torch.tensor(10_000), momentum=0.9
    )
    torch.testing.assert_close(running, torch.tensor([0.9, 0.1]))


def test_blending_interpolates_logs_and_keeps_left_out_classes_out():
    train = torch.tensor([0.5, 0.5, 0.0]).log()
    running = torch.tensor([0.9, 0.1, 0.0])
    torch.testing.assert_close(blended_log_prior(train, running, 0.0), train)
    half = blended_log_prior(train, running, 0.5)
    torch.testing.assert_close(half[:2], 0.5 * (train[:2] + running[:2].log()))
    assert half[2] == -torch.inf


def test_a_mass_without_shares_is_passed_over():
    prior = torch.tensor([0.7, 0.3])
    for mass in ([1.0, float('nan')], [1.0, float('inf')], [0.0, 0.0]):
        mass = torch.tensor(mass)
        found, steps = update_running_prior(prior, mass, torch.tensor(3))
        assert torch.equal(found, prior) and steps == 3
