"""Train and judge MUNet on CT-ICH: reader, splits, losses, one training loop, evaluation."""
