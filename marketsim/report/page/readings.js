/* What the bytes of a recording mean, and what follows from its events: one lane's readings. */
(function (page) {
  "use strict";

  const NO_POOL = 255;

  /* Compute once for each version of a lane: what follows from all of its events. */
  function once(compute) {
    const kept = new WeakMap();
    return (lane) => {
      const mine = kept.get(lane);
      if (mine && mine.version === lane.version) return mine.value;
      const value = compute(lane);
      kept.set(lane, { version: lane.version, value });
      return value;
    };
  }

  const FLAT = 128;

  /* Equity over maintenance margin of a pool: NaN where there is no pool, 0 at its line or below. */
  function ratio(lane, byte) {
    if (byte === NO_POOL) return NaN;
    return byte === 0 ? 0 : lane.header.health_base ** (byte - 1);
  }

  const pools = (lane) => 1 + lane.M;
  const health = (lane, row, a, pool) => lane.accounts.health[(row * lane.A + a) * pools(lane) + pool];

  /* The account's pool that is nearest to its line; NO_POOL if it has none. */
  function weakest(lane, row, a) {
    let least = NO_POOL;
    const at = (row * lane.A + a) * pools(lane);
    for (let p = 0; p < pools(lane); p++) least = Math.min(least, lane.accounts.health[at + p]);
    return least;
  }

  /* Signed notional over equity of an account in a market. */
  function lean(lane, row, a, m) {
    const level = lane.accounts.lean[(row * lane.A + a) * lane.M + m] - FLAT;
    return Math.sign(level) * (lane.header.lean_base ** Math.abs(level) - 1);
  }

  function isFlat(lane, row, a) {
    const at = (row * lane.A + a) * lane.M;
    for (let m = 0; m < lane.M; m++) if (lane.accounts.lean[at + m] !== FLAT) return false;
    return true;
  }

  /* Equity of an account in USD. */
  function worth(lane, row, a) {
    const level = lane.accounts.worth[row * lane.A + a];
    return level ? lane.header.worth_base ** (level - 1) : 0;
  }

  const drawnIndex = once((lane) => new Map(lane.header.accounts.drawn.map((id, a) => [id, a])));

  /* Which drawn account each liquidation struck; -1 where that account is not drawn. */
  const struck = once((lane) => {
    const where = drawnIndex(lane);
    const found = new Int32Array(lane.liqs.count).fill(-1);
    for (let i = 0; i < found.length; i++) {
      const a = where.get(lane.liqs.account[i]);
      if (a !== undefined) found[i] = a;
    }
    return found;
  });

  /* When each liquidation catches fire: those of one step follow each other within it, in order. */
  const ignitions = once((lane) => {
    const { step, count } = lane.liqs;
    const time = new Float64Array(count);
    for (let i = 0; i < count;) {
      let j = i;
      while (j < count && step[j] === step[i]) j++;
      for (let k = i; k < j; k++) time[k] = step[i] - 1 + (k - i + 1) / (j - i + 1);
      i = j;
    }
    return time;
  });

  /* How many liquidations have caught fire by a moment. */
  const burnt = (lane, time) => page.below(ignitions(lane), lane.liqs.count, time + 1e-9);

  /* The last liquidation of each drawn account in each market by a moment: its row, or -1. */
  function lastStruck(lane, time) {
    const who = struck(lane);
    const last = new Int32Array(lane.A * lane.M).fill(-1);
    const end = burnt(lane, time);
    for (let i = 0; i < end; i++) if (who[i] >= 0) last[who[i] * lane.M + lane.liqs.market[i]] = i;
    return last;
  }

  /* The liquidation that broke a pool: the last one in its markets, if nothing is held in them
     since; else -1. `last` is what `lastStruck` found. */
  function breaking(lane, row, a, markets, last) {
    let found = -1;
    for (const m of markets) {
      if (lane.accounts.lean[(row * lane.A + a) * lane.M + m] !== FLAT) return -1;
      found = Math.max(found, last[a * lane.M + m]);
    }
    return found;
  }

  /* Whether a drawn account was liquidated and holds nothing since. */
  const isOut = (lane, row, a, last) => breaking(lane, row, a, lane.header.markets.keys(), last) >= 0;

  /* USD liquidated in the last `steps` before a moment, and how many times. */
  function recent(lane, time, steps) {
    const end = burnt(lane, time);
    let usd = 0;
    let i = end;
    const times = ignitions(lane);
    while (i > 0 && times[i - 1] > time - steps) usd += lane.liqs.usd[--i];
    return { usd, count: end - i, first: i, end };
  }

  /* The drawn accounts by danger: those most was liquidated of, then by how near their weakest pool
     came to its line. Sorted again only when a quarter more is known, so that what shows them does
     not keep jumping. */
  const ranks = new WeakMap();
  function endangered(lane) {
    const kept = ranks.get(lane);
    const known = lane.accounts.count;
    if (kept && known >= kept.known && known <= 1.25 * kept.known + 8) return kept.list;
    const least = new Uint8Array(lane.A).fill(NO_POOL);
    for (let row = 0; row < known; row++) {
      for (let a = 0; a < lane.A; a++) least[a] = Math.min(least[a], weakest(lane, row, a));
    }
    const usd = new Float64Array(lane.A);
    struck(lane).forEach((a, i) => {
      if (a >= 0) usd[a] += lane.liqs.usd[i];
    });
    const list = [...least.keys()].sort((a, b) => usd[b] - usd[a] || least[a] - least[b] || a - b);
    ranks.set(lane, { known, list });
    return list;
  }

  /* What was passed on: of each tie the rows of both liquidations (parent -1: no liquidation but
     news, ordinary trades, funding), the market of the loss, and the dollars. Sorted by child, and
     longer from call to call: in a large cascade there are too many to gather them at each step. */
  const gathered = new WeakMap();
  function passed(lane) {
    let ties = gathered.get(lane);
    // After a rewind the lane's list of heat maps is another one.
    if (!ties || ties.source !== lane.heat || ties.rows > lane.liqs.count) {
      ties = { source: lane.heat, rows: 0, child: [], parent: [], via: [], usd: [] };
      gathered.set(lane, ties);
    }
    for (; ties.rows < lane.liqs.count; ties.rows++) {
      for (const tie of lane.ties(lane.liqs.id[ties.rows])) {
        ties.child.push(ties.rows);
        ties.parent.push(tie.parent < 0 ? -1 : lane.liqRow(tie.parent));
        ties.via.push(tie.via);
        ties.usd.push(tie.weight * lane.liqs.usd[ties.rows]);
      }
    }
    return ties;
  }

  /* Dollars liquidated by a moment because of losses in a market (row), by the market in which
     they were liquidated (column); the rest has no market. */
  function passedBetween(lane, time) {
    const M = lane.M;
    const sums = new Float64Array(M * M);
    const ties = passed(lane);
    const end = burnt(lane, time);
    for (let k = 0; k < ties.child.length && ties.child[k] < end; k++) {
      if (ties.via[k] < M) sums[ties.via[k] * M + lane.liqs.market[ties.child[k]]] += ties.usd[k];
    }
    return sums;
  }

  /* Of each liquidation the earlier one that caused most of it; -1 where none did. */
  const heaviest = once((lane) => {
    const ties = passed(lane);
    const parent = new Int32Array(lane.liqs.count).fill(-1);
    const most = new Float64Array(lane.liqs.count);
    ties.child.forEach((child, k) => {
      const isEarlier = ties.parent[k] >= 0 && ties.parent[k] < child;
      if (!isEarlier || ties.usd[k] <= most[child]) return;
      parent[child] = ties.parent[k];
      most[child] = ties.usd[k];
    });
    return parent;
  });

  /* The cascades that have begun by a moment, the largest first; one liquidation alone is none. */
  function cascades(lane, time) {
    const found = new Map();
    const { cascade, usd, generation } = lane.liqs;
    for (let i = 0, end = burnt(lane, time); i < end; i++) {
      if (cascade[i] < 0) continue;
      let each = found.get(cascade[i]);
      if (!each) found.set(cascade[i], (each = { id: cascade[i], usd: 0, depth: 0, rows: [] }));
      each.usd += usd[i];
      each.depth = Math.max(each.depth, generation[i] + 1);
      each.rows.push(i);
    }
    return [...found.values()].filter((each) => each.rows.length > 1).sort((a, b) => b.usd - a.usd);
  }

  const population = (lane, a) => lane.header.accounts.population[a];
  const populationName = (lane, a) => page.canvas.clean(lane.header.populations[population(lane, a)]);
  const market = (lane, m) => page.canvas.clean(lane.header.markets[m]);
  const clock = (lane, step) => page.theme.clock(step, lane.header.step_minutes);

  /* "herd 812", or "account 812" where the account is not among the drawn. */
  function accountName(lane, id) {
    const a = drawnIndex(lane).get(id);
    return a === undefined ? `account ${id}` : `${populationName(lane, a)} ${id}`;
  }

  /* "long BTC $120k of herd 812" */
  function liquidationName(lane, i) {
    const { side, market: m, usd, account } = lane.liqs;
    const what = `${side[i] ? "short" : "long"} ${market(lane, m[i])} ${page.theme.usd(usd[i])}`;
    return `${what} of ${accountName(lane, account[i])}`;
  }

  /* What to hand to `select` for one liquidation. */
  const pickLiquidation = (lane, i) => ({
    kind: "liquidation",
    id: lane.liqs.id[i],
    account: lane.liqs.account[i],
    market: lane.liqs.market[i],
    step: lane.liqs.step[i],
    text: `${liquidationName(lane, i)}, liquidated ${clock(lane, lane.liqs.step[i])}`,
  });

  const minutes = (lane, steps) => {
    const whole = Math.round(steps * lane.header.step_minutes);
    return whole < 120 ? `${whole} min` : `${(whole / 60).toFixed(whole % 60 ? 1 : 0)} h`;
  };

  /* Parents of a liquidation that are named in words. */
  const MOST_NAMED = 3;

  /* The ties of a liquidation added up by parent; those without one by market. */
  function pushers(lane, row) {
    const sums = new Map();
    for (const { parent, weight, via } of lane.ties(lane.liqs.id[row])) {
      const key = parent >= 0 ? `of ${parent}` : `in ${via}`;
      const each = sums.get(key) || { parent, via, weight: 0 };
      each.weight += weight;
      sums.set(key, each);
    }
    return [...sums.values()].sort((a, b) => b.weight - a.weight);
  }

  const total = (list) => list.reduce((sum, { weight }) => sum + weight, 0);

  /* What pushed a liquidation but no other one did, by market: "news, other trades and funding (...)" */
  function unforced(area, list) {
    const { lane, theme } = area;
    const where = list
      .filter(({ via }) => via < lane.M)
      .map(({ via, weight }) => `${market(lane, via)} ${theme.percent(weight, 0)}`);
    return where.length
      ? `news, other trades and funding (${where.join(", ")})`
      : "fees or a higher requirement";
  }

  /* Who pushed a liquidation, in words, the heaviest first. */
  function pushedBy(area, row) {
    const { lane, theme } = area;
    const all = pushers(lane, row).filter(({ weight }) => weight > 0.005);
    const share = (weight) => `${theme.percent(weight, 0)} (${theme.usd(weight * lane.liqs.usd[row])})`;
    const forced = all.filter(({ parent }) => lane.liqRow(parent) >= 0);
    const parts = forced
      .slice(0, MOST_NAMED)
      .map(({ parent, weight }) => `${share(weight)} by ${liquidationName(lane, lane.liqRow(parent))}`);
    const more = forced.slice(MOST_NAMED);
    if (more.length) parts.push(`${share(total(more))} by ${more.length} more`);
    const rest = all.filter(({ parent }) => parent < 0);
    if (rest.length) parts.push(`${share(total(rest))} by ${unforced(area, rest)}`);
    return parts.length ? parts.join("; ") : "by nothing recorded";
  }

  /* What a liquidation pushed in its turn, by a moment. */
  function pushed(area, row) {
    const { lane, theme, time } = area;
    const id = lane.liqs.id[row];
    let usd = 0;
    let count = 0;
    for (const child of new Set(lane.children(id))) {
      const at = lane.liqRow(child);
      if (at < 0 || ignitions(lane)[at] > time) continue;
      count += 1;
      for (const tie of lane.ties(child)) if (tie.parent === id) usd += tie.weight * lane.liqs.usd[at];
    }
    return count ? `It pushed ${count} more, ${theme.usd(usd)}.` : "It pushed nobody.";
  }

  /* A liquidation, who pushed it and whom it pushed, in words. */
  function whoPushedWhom(area, row) {
    const { lane } = area;
    const when = page.theme.clock(lane.liqs.step[row], lane.header.step_minutes);
    const what = `${liquidationName(lane, row)}, ${when}`;
    return `${what}: pushed ${pushedBy(area, row)}. ${pushed(area, row)}`;
  }

  /* A cascade in a sentence. */
  function describeCascade(area, each) {
    const { lane, theme } = area;
    const rows = each.rows;
    const accounts = new Set(rows.map((row) => lane.liqs.account[row])).size;
    const markets = new Set(rows.map((row) => lane.liqs.market[row])).size;
    const steps = lane.liqs.step[rows[rows.length - 1]] - lane.liqs.step[rows[0]] + 1;
    const plural = (n, word) => `${theme.count(n)} ${word}${n === 1 ? "" : "s"}`;
    // One shock or one pool took all of them.
    const depth = each.depth === 1 ? "none pushed by another" : plural(each.depth, "generation");
    return (
      `${theme.usd(each.usd)} in ${plural(rows.length, "liquidation")} of ${plural(accounts, "account")}, ` +
      `${plural(markets, "market")}, ${depth}, ${minutes(lane, steps)}. ` +
      `The first was ${liquidationName(lane, rows[0])}.`
    );
  }

  page.readings = {
    NO_POOL,
    once,
    ratio,
    health,
    weakest,
    lean,
    isFlat,
    worth,
    drawnIndex,
    struck,
    ignitions,
    burnt,
    lastStruck,
    breaking,
    isOut,
    recent,
    endangered,
    passed,
    passedBetween,
    heaviest,
    pushers,
    cascades,
    population,
    market,
    clock,
    minutes,
    accountName,
    liquidationName,
    pickLiquidation,
    whoPushedWhom,
    describeCascade,
  };
})((window.page = window.page || {}));
