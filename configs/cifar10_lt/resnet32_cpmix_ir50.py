# CP-Mix (Yoon et al., arXiv 2411.07621): mixup of confused classes.
# python tools/train.py configs/cifar10_lt/resnet32_cpmix_ir50.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = './resnet32_cpmix_ir100.py'

train_dataloader = dict(dataset=dict(dataset=dict(imbalance_ratio=50)))
