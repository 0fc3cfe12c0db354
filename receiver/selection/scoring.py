"""The points of an eligible stack, each with its name, so that a score explains itself."""

from collections.abc import Mapping

from receiver.selection.anatomy import anatomy_of
from receiver.selection.geometry import usual_step_mm
from receiver.selection.labels import Kernel, found, kernel_of, perhaps_contrast, says_non_contrast
from receiver.selection.rules import SelectionRules
from receiver.selection.stacks import Stack


def points_of(stack: Stack, rules: SelectionRules) -> dict[str, float]:
    """Give the points of a stack by what they are for."""
    weights = rules.score
    points = {"base": weights.base} | _kernel_points(stack, rules) | _label_points(stack, rules)
    step_mm = usual_step_mm(stack.places_mm)
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
    kernel = kernel_of(stack.first, rules)
    name = stack.first.kernel
    if kernel is Kernel.SOFT:
        return {f"soft kernel {name}": rules.score.soft_kernel}
    if kernel is Kernel.MEDIUM:
        return {f"rather sharp kernel {name}": rules.score.medium_kernel}
    return {}


def _label_points(stack: Stack, rules: SelectionRules) -> dict[str, float]:
    header, weights = stack.first, rules.score
    facts = {
        "original": (header.image_type[:1] == ("ORIGINAL",), weights.original),
        "axial": (header.image_type[2:3] == ("AXIAL",), weights.axial),
        "names the head": (anatomy_of(header, rules).head, weights.head),
        "named without contrast": (says_non_contrast(header, rules), weights.named_non_contrast),
        "perhaps with contrast": (perhaps_contrast(header, rules), weights.perhaps_contrast),
        "perhaps a phantom": (
            bool(found(rules.names.phantom, header.patient_name, header.patient_id)),
            weights.perhaps_phantom,
        ),
        "named as bone": (
            bool(found(rules.names.bone, header.series_description)),
            weights.perhaps_bone,
        ),
    }
    return {name: points for name, (is_so, points) in facts.items() if is_so}


def _step_points(step_mm: float, rules: SelectionRules) -> float:
    steps = rules.score.steps
    return next((one.points for one in steps if step_mm <= one.up_to_mm), steps[-1].points)


def _field_of_view_mm(stack: Stack) -> float:
    return max(stack.first.spacing_mm, default=0.0) * max(stack.first.rows, stack.first.columns)
