"""Judged patients by hand, for tests of figures."""

import numpy as np

from trainer.evaluation.studies import Study
from worker.munet.card import CLASSES, OperatingPoint


def study(patient, types, truth, found, both, scores):
    """One patient; blood is found as the slice's own type."""
    kinds = np.zeros((len(truth), 5), np.bool_)
    there, areas, common = np.zeros((3, len(truth), 6), int)
    there[:, 5], areas[:, 5], common[:, 5] = truth, found, both
    probabilities = np.zeros((len(truth), 6), np.float32)
    probabilities[:, 5] = scores
    for row, name in enumerate(types):
        if name:
            index = CLASSES.index(name)
            kinds[row, index] = True
            there[row, index] = truth[row]
            areas[row, index], common[row, index] = found[row], both[row]
            probabilities[row, index] = scores[row]
    point = OperatingPoint()
    highest = probabilities.max(axis=0).astype(float)
    typed = np.ones(len(truth), np.bool_)
    return Study(patient, kinds, typed, there, areas, common, probabilities, highest, point)
