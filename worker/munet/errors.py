"""What can be wrong with a checkpoint or a device before a single slice is read."""


class CheckpointError(ValueError):
    """The checkpoint can't be trusted: its weights and JSON are missing, damaged or disagree."""


class DeviceError(ValueError):
    """The device asked for does not exist on this host."""


class BackendError(RuntimeError):
    """The network can't be compiled, or what was compiled is another one; torch still runs it."""
