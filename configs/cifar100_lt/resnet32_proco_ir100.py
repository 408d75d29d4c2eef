# ProCo (Du et al., TPAMI 2024): the contrastive loss over infinitely many keys, with Cutout.
# python tools/train.py configs/cifar100_lt/resnet32_proco_ir100.py
# 1 GPU, batch 256. Published top-1: 52.8 %. Optimiser and schedule are BCL's. Not yet run here.
_base_ = './resnet32_bcl_cutout_ir100.py'

model = dict(
    head=dict(
        loss=dict(loss_weight=1.0),
        loss_bcl=dict(
            _delete_=True,
            type='ProCoLoss',
            num_classes=_base_.num_classes,
            embedding_channels=128,
            temperature=0.1,
            loss_weight=1.0,
        ),
    )
)
