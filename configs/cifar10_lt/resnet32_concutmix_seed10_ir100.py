# ConCutMix (Pan et al., IEEE TIP 2024) on BCL, on the subset of its released code.
# python tools/train.py configs/cifar10_lt/resnet32_concutmix_seed10_ir100.py
# 1 GPU, batch 256. The other methods' figures are of the subset of seed 0.
# Published top-1, best epoch on the test set, subset of seed 10: 86.07 %. Not yet run here.
_base_ = './resnet32_concutmix_ir100.py'

train_dataloader = dict(dataset=dict(dataset=dict(seed=10)))
