"""The points of an eligible stack, each with its name, so that a score explains itself."""

from collections.abc import Mapping

from receiver.instance.geometry import usual_step_mm
from receiver.selection.hints import hints_of
from receiver.selection.rules import SelectionRules
from receiver.selection.stacks import Stack
from receiver.selection.words import Sharpness


def points_of(stack: Stack, rules: SelectionRules) -> dict[str, float]:
    """Give the points of a stack by what they are for."""
    weights = rules.score
    points = {"base": weights.base} | _kernel_points(stack, rules) | _label_points(stack, rules)
    step_mm = usual_step_mm(stack.slice_position_mm)
    points[f"{step_mm:g} mm steps"] = _step_points(step_mm, rules)
    if _field_of_view_mm(stack) > weights.wide_field_mm:
        points["field of view of a body"] = weights.wide_field
    points[f"{stack.images} slices"] = min(
        weights.per_slice * stack.images, weights.per_slice_at_most
    )
    return points


def name_points(points: Mapping[str, float]) -> str:
    """List points for a reader: what they are for, and how many."""
    return ", ".join(f"{name} {value:+g}" for name, value in points.items() if value)


def _kernel_points(stack: Stack, rules: SelectionRules) -> dict[str, float]:
    name = stack.first.kernel
    sharpness = rules.words.sharpness_of(name)
    if sharpness is Sharpness.SOFT:
        return {f"soft kernel {name}": rules.score.soft_kernel}
    if sharpness is Sharpness.MEDIUM:
        return {f"rather sharp kernel {name}": rules.score.medium_kernel}
    return {}


def _label_points(stack: Stack, rules: SelectionRules) -> dict[str, float]:
    values, weights = stack.first.image_type, rules.score
    points = {"original": weights.original} if values[:1] == ("ORIGINAL",) else {}
    if values[2:3] == ("AXIAL",):
        points["axial"] = weights.axial
    return points | {hint.says: hint.points for hint in hints_of(stack.first, rules)}


def _step_points(step_mm: float, rules: SelectionRules) -> float:
    steps = rules.score.steps
    return next((step.points for step in steps if step_mm <= step.up_to_mm), steps[-1].points)


def _field_of_view_mm(stack: Stack) -> float:
    return max(stack.first.spacing_mm, default=0.0) * max(stack.first.rows, stack.first.columns)
