from tests.tape.conftest import make_result, result

__all__ = ["make_result", "result"]
