"""A trader who may follow the rules that practitioners give for perps under cross margin."""

import numpy as np

import marketsim

#: Kinds of traders, by account: each favourite market, two longs to one short, each leverage. A
#: population of so many has one of each, so that populations of this size are twins.
KINDS = 36
SIDES = np.array([-1.0, 1.0, 1.0])
#: Shares of the greatest leverage, which is the habit; all of it leaves no margin for fees.
LEVERAGES = np.array([0.25, 0.4, 0.6, 0.9])
#: Kinds that enter one after the other are this far apart.
STRIDE = 29
#: Hours at the end of a round in which a trader is out.
REST = 12.0
#: Who holds less than this share of the most it held has been cut.
CUT = 0.98
#: A leg that is off by more than this share is rebalanced.
BAND = 0.2
#: Remembered of each market: when the round was begun; the most coins held in it, infinite for who
#: has left; the coins aimed at when it began.
BEGAN, MOST, TARGET = range(3)


class Follower(marketsim.Strategy):
    """Holds a levered position in all markets for a round, rests, and begins another.

    Half of its notional is in its favourite market, the others share the rest. Leverage, tranches
    and buffer, how often it looks, and the share that it keeps in stablecoins, which are margin but
    not levered, are habits; the other rules are parameters. Who was liquidated or cut, or has left,
    adds nothing until the next round.
    """

    round_hours: float = 96.0
    #: From one tranche to the next.
    tranche_hours: float = 6.0
    #: The other markets are held against the favourite one, and no net position is left.
    hedge: bool = False
    #: Legs are brought back to their shares of what equity has become.
    rebalance: bool = False
    #: Adds only where its side pays less funding than this, bp per 8 h.
    cool_bp: float = np.inf
    #: Leaves when the mark of a market it holds is further than this from the index, bp.
    spread_bp: float = np.inf

    def decide(self, market, traders):
        """Begin a round, add or rebalance while it lasts, leave at its end or before."""
        kind, memory = traders.account % KINDS, traders.memory
        phase = self.round_hours * (kind * STRIDE % KINDS) / KINDS
        number, hours = np.divmod(market.hours + phase, self.round_hours)
        now = market.hours + self.round_hours  # above the age of any round: nobody has begun yet
        aim = self._aim(market, traders, kind, number)
        begins = memory[:, 0, BEGAN] < now - hours
        memory[begins] = 0.0
        memory[begins, :, BEGAN] = now
        memory[begins, :, TARGET] = aim[begins]

        held = np.abs(traders.size)
        memory[:, :, MOST] = np.maximum(memory[:, :, MOST], held)
        leaves = (hours > self.round_hours - REST) | self._is_wide(market, held)
        memory[leaves, :, MOST] = np.inf
        leaves |= np.isinf(memory[:, 0, MOST])
        traders.move_to(0.0, where=leaves)

        sent = 1.0 + (now - memory[:, 0, BEGAN]) // self.tranche_hours
        sent = np.minimum(sent, traders.tranches) / traders.tranches
        target = sent[:, None] * (aim if self.rebalance else memory[:, :, TARGET])
        most = memory[:, :, MOST]
        if self.rebalance:
            moves = np.abs(target - traders.size) > BAND * np.abs(target)
            may_add = (held > 0.0) | (most == 0.0)
        else:
            moves = held < np.abs(target)
            may_add = held >= CUT * most
        may_add &= 1e4 * np.sign(target) * market.funding_rate < self.cool_bp
        is_less = np.abs(target) < held
        traders.move_to(target, where=~leaves[:, None] & moves & (is_less | may_add))

    def _aim(self, market, traders, kind, number):
        """Return the coins of a whole position, (n, M), by what the traders have now."""
        others = (-0.5 if self.hedge else 0.5) / (len(market.names) - 1)
        is_favourite = np.arange(len(market.names)) == (kind % len(market.names))[:, None]
        share = np.where(is_favourite, 0.5, others)
        side = SIDES[(kind // 3 + number.astype(int)) % len(SIDES)]
        leverage = traders.leverage * LEVERAGES[kind // 9]
        levered = np.maximum(traders.equity - traders.stable_share * traders.capital, 0.0)
        return (side * leverage * levered)[:, None] * share / market.mid

    def _is_wide(self, market, held):
        """Tell who holds a market whose perp has left its index."""
        spread = 1e4 * np.abs(market.mark_price / market.index_price - 1.0)
        return ((held > 0.0) & (spread > self.spread_bp)).any(axis=1)
