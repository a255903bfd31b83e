"""What is fetched ahead: memory that is used soon is asked for now, and nobody waits for it.

Accounts act in random order. In a large market their records lie in none of the processor's caches,
and most of the time would go into waiting for them, one after the other. A *prefetch* asks for a
record's *cache line*, the 64 bytes in which memory comes, some accounts before its turn. No result
depends on any; `docs/develop/speed.md` says what each hint gains, as ``marketsim bench hints``
measures it.
"""

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from marketsim.engine._jit import WITHOUT, inlined
from marketsim.engine.records import CACHE_LINE, Indices
from marketsim.engine.state import NONE, Cause, IntentKind, State, widen

#: The hints; a benchmark compiles without those that `MARKETSIM_WITHOUT` names.
HINTS = ("account", "order", "neighbours", "trader")
_ACCOUNT, _ORDER, _NEIGHBOURS, _TRADER = (hint not in WITHOUT for hint in HINTS)

#: Accounts before its own turn at which `prefetch_account`, `prefetch_order` and
#: `prefetch_neighbours` are called for an account: each finds its way through what the one before
#: it asked for, so some time has to lie between them.
FAR, MIDDLE, CLOSE = 12, 8, 4
#: The records of fewer accounts lie in the processor's caches: to fetch them ahead only costs.
MANY_ACCOUNTS = 8_192


if numba.config.DISABLE_JIT:

    def prefetch(array: Any, row: int) -> None:
        """Ask the processor for a row of an array; without compilation there is nothing to ask."""

else:

    @intrinsic
    def prefetch(typingctx: Any, array: Any, row: Any) -> Any:  # noqa: ARG001
        """Ask the processor for a record: its first line, and its last if it may reach into one.

        Of a row of several records only the first line.
        """

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            view = context.make_array(signature.args[0])(context, builder, value=args[0])
            stride = cgutils.unpack_tuple(builder, view.strides)[0]
            start = builder.ptrtoint(view.data, stride.type)
            first = builder.add(start, builder.mul(args[1], stride))
            pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            size = context.get_abi_sizeof(context.get_data_type(array.dtype))
            for offset in (0, size - 1)[: 1 + (CACHE_LINE % size != 0)]:
                byte = builder.add(first, stride.type(offset))
                line = builder.inttoptr(byte, pointer)
                builder.call(function, [line, number(1), number(3), number(1)])
            return context.get_dummy_value()

        return types.void(array, types.int64), codegen


@inlined
def prefetch_trader(state: State, traders: Any, i: int) -> None:
    """Fetch what a trader looks at who decides soon; `traders` are `marketsim.agents.base`'s."""
    if _TRADER and len(state.account) >= MANY_ACCOUNTS:
        prefetch(traders.trader, i)
        prefetch(traders.link_span, i)
        prefetch(state.stable, i)
        prefetch(state.pool, i)
        for m in range(len(state.market)):
            prefetch(traders.memory[i], m)
            prefetch(state.position[i], m)
            prefetch(state.spot[i], m)


@inlined
def prefetch_intents(state: State, sequence: Indices, n: int) -> None:
    """Fetch what the intents after the `n`-th of `sequence` are going to need."""
    if len(state.account) >= MANY_ACCOUNTS and n + FAR < len(sequence):
        intent = state.intent[sequence[n + FAR]]
        if _is_first(state, sequence, n + FAR):
            prefetch_account(state, widen(intent.account))
        intent = state.intent[sequence[n + MIDDLE]]
        if _is_first(state, sequence, n + MIDDLE):
            prefetch_order(state, widen(intent.account), widen(intent.market))
        intent = state.intent[sequence[n + CLOSE]]
        if intent.kind == IntentKind.CANCEL:
            prefetch_neighbours(state, widen(intent.account), widen(intent.market))


@inlined
def _is_first(state: State, sequence: Indices, n: int) -> bool:
    """Tell whether an intent is of another account or market than the one before it."""
    intent = state.intent[sequence[n]]
    before = state.intent[sequence[n - 1]]
    return intent.account != before.account or intent.market != before.market


@inlined
def prefetch_account(state: State, i: int) -> None:
    """Fetch what a trade of an account reads and changes."""
    if _ACCOUNT:
        for m in range(len(state.market)):
            prefetch(state.position[i], m)
            prefetch(state.own_fraction[i], m)
        prefetch(state.pool, i)
        prefetch(state.flow, i)
        prefetch(state.flow[i], Cause.FEE.value)


@inlined
def prefetch_order(state: State, i: int, m: int) -> None:
    """Fetch an account's newest order in a market."""
    if _ORDER:
        prefetch(state.order, widen(state.position[i, m].first_order))


@inlined
def prefetch_neighbours(state: State, i: int, m: int) -> None:
    """Fetch what changes when an account's newest order in a market is withdrawn."""
    k = widen(state.position[i, m].first_order)
    if _NEIGHBOURS and k != NONE:
        prefetch(state.order, widen(state.order[k].prev))
        prefetch(state.order, widen(state.order[k].next))
        prefetch(state.level, widen(state.order[k].level))
