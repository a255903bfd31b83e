"""Resting orders: a price tree of 32-way nodes per market, first-in-first-out queues at each price.

A price has 30 bits; the tree has six generations of nodes with a bit mask of their children, so
that the next occupied price is found in at most twelve steps however far it is, and memory is in
proportion to the occupied prices. Bids and asks share a market's tree because a book is never
crossed. Orders are also linked per account and market (to withdraw them) and in a wheel of expiry
steps.
"""

from marketsim.engine._jit import highest_bit, inlined, kernel, lowest_bit
from marketsim.engine.state import NONE, WHEEL_SLOTS, State, widen

TOP_SHIFT = 25


@inlined
def find_level(state: State, m: int, price: int) -> int:
    """Return the level at `price`, or NONE."""
    n = widen(m)
    shift = TOP_SHIFT
    while shift >= 0:
        node = state.node[n]
        bit = (price >> shift) & 31
        if (node.mask >> bit) & 1 == 0:
            return NONE
        n = node.child[bit]
        shift -= 5
    return n


@inlined
def open_level(state: State, m: int, price: int) -> int:
    """Return the level at `price`, made if there is none."""
    totals = state.totals[0]
    n = widen(m)
    shift = TOP_SHIFT
    while shift >= 0:
        node = state.node[n]
        bit = (price >> shift) & 31
        if (node.mask >> bit) & 1 == 0:
            node.mask |= 1 << bit
            if shift > 0:
                below = totals.free_node
                totals.free_node = state.node[below].child[0]
                totals.num_nodes += 1
                state.node[below].mask = 0
            else:
                below = totals.free_level
                totals.free_level = state.level[below].head
                totals.num_levels += 1
                state.level[below].volume = 0
                state.level[below].head = NONE
                state.level[below].tail = NONE
            node.child[bit] = below
        n = node.child[bit]
        shift -= 5
    return n


@inlined
def close_level(state: State, m: int, price: int) -> None:
    """Remove the empty level at `price` and the nodes that only led to it."""
    totals = state.totals[0]
    n = m
    fork = m
    fork_shift = TOP_SHIFT
    shift = TOP_SHIFT
    while shift > 0:
        n = state.node[n].child[(price >> shift) & 31]
        shift -= 5
        mask = state.node[n].mask
        if mask & (mask - 1) != 0:
            fork = n
            fork_shift = shift
    bit = (price >> fork_shift) & 31
    n = state.node[fork].child[bit]
    state.node[fork].mask ^= 1 << bit
    shift = fork_shift
    while shift > 0:
        shift -= 5
        below = state.node[n].child[(price >> shift) & 31]
        state.node[n].child[0] = totals.free_node
        totals.free_node = n
        totals.num_nodes -= 1
        n = below
    state.level[n].head = totals.free_level
    totals.free_level = n
    totals.num_levels -= 1


@inlined
def next_price(state: State, m: int, price: int, side: int) -> int:
    """Return the next occupied price above (`side` +1) or below (-1) `price`, 0 if none."""
    n = m
    shift = TOP_SHIFT
    found = NONE
    found_mask = 0
    found_shift = 0
    while True:
        mask = state.node[n].mask
        bit = (price >> shift) & 31
        beyond = mask >> (bit + 1) << (bit + 1) if side > 0 else mask & ((1 << bit) - 1)
        if beyond != 0:
            found = n
            found_mask = beyond
            found_shift = shift
        if shift == 0 or (mask >> bit) & 1 == 0:
            break
        n = state.node[n].child[bit]
        shift -= 5
    if found == NONE:
        return 0
    shift = found_shift
    bit = lowest_bit(found_mask) if side > 0 else highest_bit(found_mask)
    result = (price >> (shift + 5) << (shift + 5)) | (bit << shift)
    n = state.node[found].child[bit]
    while shift > 0:
        shift -= 5
        mask = state.node[n].mask
        bit = lowest_bit(mask) if side > 0 else highest_bit(mask)
        result |= bit << shift
        n = state.node[n].child[bit]
    return result


@inlined
def is_full(state: State) -> bool:
    """Tell whether no slot is left for one more resting order."""
    return state.totals[0].num_orders == len(state.order)


@inlined
def _free_slot(state: State) -> int:
    """Return a free slot, the first from the one taken last; there has to be one.

    So what an account orders in one go lies side by side, however often slots change hands, and the
    processor foresees the way through it when it is withdrawn; slots freed last and taken first end
    up shuffled. Half of the slots before the turning point are free, so few are passed in vain.
    """
    totals = state.totals[0]
    stop = min(2 * totals.num_orders + 1, len(state.order))
    k = totals.next_order
    while True:
        if k >= stop:
            k = 0
            stop = len(state.order)
        if state.order[k].size == 0:
            break
        k += 1
    totals.next_order = k + 1
    return k


@kernel
def add_order(
    state: State,
    i: int,
    m: int,
    side: int,
    size: int,
    price: int,
    mid2: int,
    expiry: int,
    flags: int,
) -> int:
    """Rest an order behind all others at its price; return its slot."""
    totals = state.totals[0]
    market = state.market[m]
    k = _free_slot(state)
    order = state.order[k]
    totals.num_orders += 1
    market.num_orders += 1
    order.price = price
    order.size = size
    order.mid2 = mid2
    order.account = i
    order.market = m
    order.side = side
    order.flags = flags
    order.expiry = expiry

    found = open_level(state, m, price)
    level = state.level[found]
    order.level = found
    order.prev = level.tail
    order.next = NONE
    if level.tail == NONE:
        level.head = k
    else:
        state.order[level.tail].next = k
    level.tail = k
    level.volume += size

    position = state.position[i, m]
    order.own_prev = NONE
    order.own_next = position.first_order
    if position.first_order != NONE:
        state.order[position.first_order].own_prev = k
    position.first_order = k

    if expiry > 0:
        slot = expiry % WHEEL_SLOTS
        first = state.wheel[slot]
        order.wheel_prev = NONE
        order.wheel_next = first
        if first != NONE:
            state.order[first].wheel_prev = k
        state.wheel[slot] = k

    if side > 0:
        market.best_bid = max(market.best_bid, price)
    elif market.best_ask == 0 or price < market.best_ask:
        market.best_ask = price
    return k


@kernel
def remove_order(state: State, k: int) -> None:
    """Take an order off the book and free its slot."""
    order = state.order[k]
    m = widen(order.market)
    level = state.level[order.level]
    level.volume -= order.size
    if order.prev == NONE:
        level.head = order.next
    else:
        state.order[order.prev].next = order.next
    if order.next == NONE:
        level.tail = order.prev
    else:
        state.order[order.next].prev = order.prev
    if level.head == NONE:
        market = state.market[m]
        price = order.price
        side = widen(order.side)
        close_level(state, m, price)
        if side > 0 and price == market.best_bid:
            market.best_bid = next_price(state, m, price, -side)
        elif side < 0 and price == market.best_ask:
            market.best_ask = next_price(state, m, price, -side)
    _unlink(state, k)


@inlined
def _unlink(state: State, k: int) -> None:
    """Take an order out of its account's list and the expiry wheel; free the slot."""
    order = state.order[k]
    totals = state.totals[0]
    if order.own_prev == NONE:
        state.position[order.account, order.market].first_order = order.own_next
    else:
        state.order[order.own_prev].own_next = order.own_next
    if order.own_next != NONE:
        state.order[order.own_next].own_prev = order.own_prev
    if order.expiry > 0:
        if order.wheel_prev == NONE:
            state.wheel[order.expiry % WHEEL_SLOTS] = order.wheel_next
        else:
            state.order[order.wheel_prev].wheel_next = order.wheel_next
        if order.wheel_next != NONE:
            state.order[order.wheel_next].wheel_prev = order.wheel_prev
    state.market[order.market].num_orders -= 1
    order.size = 0
    totals.num_orders -= 1


@inlined
def reduce_order(state: State, k: int, size: int) -> None:
    """Take `size` filled lots off an order; it leaves the book when none are left."""
    order = state.order[k]
    if size == order.size:
        remove_order(state, k)
    else:
        order.size -= size
        state.level[order.level].volume -= size


@kernel
def withdraw_orders(state: State, i: int, m: int, price: int) -> int:
    """Withdraw an account's orders in a market (only those at `price` unless 0); count them."""
    count = 0
    k = widen(state.position[i, m].first_order)
    while k != NONE:
        following = widen(state.order[k].own_next)
        if price == 0 or state.order[k].price == price:
            remove_order(state, k)
            count += 1
        k = following
    return count


@kernel
def expire_orders(state: State, step: int) -> None:
    """Withdraw the orders whose time is up."""
    k = widen(state.wheel[step % WHEEL_SLOTS])
    while k != NONE:
        following = widen(state.order[k].wheel_next)
        if state.order[k].expiry <= step:
            remove_order(state, k)
        k = following


@kernel
def impact_price(state: State, m: int, side: int, atoms: int) -> float:
    """Average price in ticks of selling into the bids (`side` +1) or buying the asks (-1).

    `atoms` is the notional to fill; 0 asks for the best price. Returns 0.0 if depth is short.
    """
    market = state.market[m]
    price = market.best_bid if side > 0 else market.best_ask
    if atoms == 0 or price == 0:
        return float(price)
    left = atoms
    lots = 0.0
    while price != 0:
        volume = state.level[find_level(state, m, price)].volume
        value = volume * price * market.tick_atoms
        if value >= left:
            lots += left / (price * market.tick_atoms)
            return atoms / (lots * market.tick_atoms)
        left -= value
        lots += volume
        price = next_price(state, m, price, -side)
    return 0.0
