"""Arrays of a struct as kernels see them: nobody counts who uses them, and no index is negative.

NumPy takes an index below zero from the end. So Numba looks at each, and a record is found only
after its array's length is; no kernel means it so. What that gains is in `docs/develop/speed.md`.
"""

import operator
from typing import Any

from numba import types
from numba.core.imputils import lower_builtin, lower_cast
from numba.extending import models, register_model
from numba.np.arrayobj import getitem_array_tuple, getitem_arraynd_intp, setitem_array


class Borrowed(types.Array):
    """An array that a struct keeps: nobody counts who else uses it, which is half of the code."""

    def __init__(self, array: Any) -> None:
        super().__init__(
            array.dtype,
            array.ndim,
            array.layout,
            readonly=not array.mutable,
            name=f"borrowed {array.name}",
            aligned=array.aligned,
        )


@register_model(Borrowed)
class BorrowedModel(models.ArrayModel):
    """Laid out as any array."""

    def traverse(self, builder: Any) -> list[Any]:  # noqa: ARG002
        """List what there is to count: nothing."""
        return []


@lower_cast(Borrowed, types.Array)
def _lend(context: Any, builder: Any, borrowed: Any, array: Any, value: Any) -> Any:  # noqa: ARG001
    """Take it as any array, as kernels do that are called with it."""
    return value


def _not_negative(kind: Any) -> Any:
    """Return the type of an index, or of several, without a sign."""
    if isinstance(kind, types.BaseTuple):
        return types.Tuple([_not_negative(each) for each in kind])
    if isinstance(kind, types.Integer) and kind.signed:
        return types.Integer.from_bitwidth(kind.bitwidth, signed=False)
    return kind


@lower_builtin(operator.getitem, Borrowed, types.Integer)
def _get_item(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array, index = signature.args
    signature = signature.replace(args=(array, _not_negative(index)))
    return getitem_arraynd_intp(context, builder, signature, args)


@lower_builtin(operator.getitem, Borrowed, types.BaseTuple)
def _get_item_of_grid(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array, index = signature.args
    signature = signature.replace(args=(array, _not_negative(index)))
    return getitem_array_tuple(context, builder, signature, args)


@lower_builtin(operator.setitem, Borrowed, types.Any, types.Any)
def _set_item(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array, index, value = signature.args
    signature = signature.replace(args=(array, _not_negative(index), value))
    return setitem_array(context, builder, signature, args)
