# Logit adjustment (Menon et al., ICLR 2021), tau 1.
# python tools/train.py configs/cifar100_lt/resnet32_logit_adjustment_ir50.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = './resnet32_logit_adjustment_ir100.py'

train_dataloader = dict(dataset=dict(imbalance_ratio=50))
