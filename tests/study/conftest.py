from tests.sweep.conftest import design, inline, tiny

__all__ = ["design", "inline", "tiny"]
