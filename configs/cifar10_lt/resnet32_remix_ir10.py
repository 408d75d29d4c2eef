# Remix (Chou et al., ECCV workshops 2020) with cross-entropy.
# python tools/train.py configs/cifar10_lt/resnet32_remix_ir10.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = [
    '../_base_/datasets/cifar10_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(dataset=dict(imbalance_ratio=10))
model = dict(
    head=dict(num_classes=10), train_cfg=dict(augments=dict(type='RemixBatchAugment', alpha=1.0))
)
