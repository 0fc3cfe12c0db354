"""Train and evaluate MUNet on CT-ICH: reader, splits, losses, one training loop, evaluation."""
