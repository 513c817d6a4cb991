"""What Gradescope's autograder reads, ``results.json``: a test for each exercise, worth one point.

Source of the format: https://gradescope-autograders.readthedocs.io/en/latest/specs/.
"""

from typing import Any

from .classroom import Graded

__all__ = ["results"]


def results(graded: Graded) -> dict[str, Any]:
    """Return the results of one submission, as JSON can hold them."""
    tests = [
        {
            "name": f"{graded.submission.chapter}: {exercise.name}",
            "number": str(number),
            "score": float(exercise.passed),
            "max_score": 1.0,
            "status": "passed" if exercise.passed else "failed",
            "output": "\n".join(exercise.lines) or f"passed, cases tried: {exercise.cases}",
            "output_format": "text",
            "visibility": "visible",
        }
        for number, exercise in enumerate(graded.exercises, 1)
    ]
    return {
        "score": float(graded.score),
        "execution_time": round(graded.seconds, 2),
        "output": graded.problem or f"sha256 of the graded file: {graded.digest}",
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
    }
