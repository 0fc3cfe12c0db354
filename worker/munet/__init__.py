"""MUNet and everything that its input and output depend on, shared by the worker and the trainer.

Start with `inference.Predictor`. Importing this package loads no weights and no network.
"""
