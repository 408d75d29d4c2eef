# CP-Mix (Yoon et al., arXiv 2411.07621): mixup of confused classes.
# tools/dist_train.sh configs/places_lt/resnet152_cpmix.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = [
    '../_base_/datasets/places_lt_pairs.py',
    '../_base_/models/resnet152_pretrained.py',
    '../_base_/schedules/places_lt_30e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(sampler=dict(partners='confusion', pairing='pairs'))
model = dict(
    head=dict(num_classes=_base_.num_classes),
    train_cfg=dict(augments=dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0)),
)
