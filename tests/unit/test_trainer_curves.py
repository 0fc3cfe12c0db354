from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainer.reports.curves import Curves, Scalars, accuracy_and_loss
from trainer.training.run import Run

HISTORY = [
    {"epoch": 0, "loss": 1.0, "accuracy": float("nan"), "dice": 0.1, "type_accuracy": 0.2},
    {"epoch": 1, "loss": 0.8, "accuracy": 0.5, "dice": 0.3, "type_accuracy": 0.4},
]


class Trained(Run):
    """A run of which the history alone is looked at."""

    def __init__(self, history):
        self.history = history


def test_figures_7_and_8_are_written_while_it_trains(tmp_path):
    Curves(tmp_path)(Trained(HISTORY))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figure-07.png", "figure-08.png"]


def test_a_run_without_validation_patients_has_its_figures_too():
    assert accuracy_and_loss([{"epoch": 0, "loss": 1.0, "accuracy": 0.5}]).png


def test_tensorboard_has_every_figure_of_every_epoch(tmp_path):
    for count in (1, 2):
        Scalars(tmp_path)(Trained(HISTORY[:count]))
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, round(e.value, 3)) for e in events.Scalars("dice")] == [(0, 0.1), (1, 0.3)]
    assert [e.step for e in events.Scalars("accuracy")] == [1]  # the first was not measurable
