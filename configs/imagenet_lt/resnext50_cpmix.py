# CP-Mix (Yoon et al., arXiv 2411.07621): mixup of confused classes.
# tools/dist_train.sh configs/imagenet_lt/resnext50_cpmix.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = [
    '../_base_/datasets/imagenet_lt_pairs.py',
    '../_base_/models/resnext50.py',
    '../_base_/schedules/imagenet_lt_90e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(sampler=dict(partners='confusion', pairing='pairs'))
model = dict(
    head=dict(num_classes=_base_.num_classes),
    train_cfg=dict(augments=dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0)),
)
