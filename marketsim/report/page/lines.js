/* The charts that are only lines: funding, the crowd, the fund, what was liquidated, the distance to it. */
(function (page) {
  "use strict";

  const { pick, steps, keyOf } = page.charts;
  const MAINTENANCE = 1;
  const UNBURDENED = 250; // health of a pool without positions; 255: no such pool

  const atLeast = (bottom, top) => (low, high) => [Math.min(low, bottom), Math.max(high, top)];

  /* A band of an axis, or a line across the chart with a word at its left end. */
  function band(u, scale, low, high, colour, alpha) {
    const top = u.valToPos(high, scale, true);
    u.ctx.globalAlpha = alpha;
    u.ctx.fillStyle = colour;
    u.ctx.fillRect(u.bbox.left, top, u.bbox.width, u.valToPos(low, scale, true) - top);
    u.ctx.globalAlpha = 1;
  }

  /* `taken`: where words stand already; a line too close to them goes without its own. */
  function rule(u, scale, value, colour, word, below, taken) {
    const ratio = window.devicePixelRatio || 1;
    const y = Math.round(u.valToPos(value, scale, true)) + 0.5;
    const { ctx } = u;
    ctx.strokeStyle = colour;
    ctx.lineWidth = ratio;
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(u.bbox.left, y);
    ctx.lineTo(u.bbox.left + u.bbox.width, y);
    ctx.stroke();
    ctx.setLineDash([]);
    if (taken.some((other) => Math.abs(other - y) < 16 * ratio)) return;
    taken.push(y);
    ctx.font = page.theme.font(12 * ratio, 600);
    ctx.textAlign = "left";
    ctx.textBaseline = below ? "top" : "bottom";
    ctx.strokeStyle = page.theme.paper;
    ctx.lineWidth = 4 * ratio;
    const at = [u.bbox.left + 6 * ratio, y + (below ? 3 : -3) * ratio];
    ctx.strokeText(word, ...at);
    ctx.fillStyle = colour;
    ctx.fillText(word, ...at);
  }

  const sayBp = (points) => page.theme.bp(points / 1e4).replace(/\.0 /, " ");

  const premium = {
    id: "premium",
    title: "Premium and funding",
    question: "What does the crowd pay to stay on its side?",
    help:
      "The premium of the perp over its index, and the funding rate per 8 hours. Inside the shaded " +
      "band the rate stays pinned; dashed lines are the cap.",
    key: keyOf("premium"),
    lines: ({ lane, market }) => [
      {
        label: "premium",
        colour: page.theme.soft,
        say: (row) => page.theme.bp(lane.value("premium", row, market)),
      },
      {
        label: "next",
        colour: page.theme.accent,
        width: 1.5,
        dash: [4, 3],
        say: (row) => page.theme.bp(lane.value("next", row, market)),
      },
      {
        label: "rate, per 8 h",
        colour: page.theme.market(market),
        width: 2.5,
        stepped: true,
        say: (row) => page.theme.bp(lane.value("rate", row, market)),
      },
    ],
    data: ({ lane, market }, rows) => [
      steps(lane, rows),
      ...["premium", "next", "rate"].map((name) => pick(lane, name, market, rows, 1e4)),
    ],
    scales: { bp: { say: sayBp, floor: atLeast(-8, 12) } },
    under(u, { lane }) {
      const { band: width, interest } = lane.header.funding;
      const pin = interest === undefined ? 1e-4 : interest;
      if (width) band(u, "bp", (pin - width) * 1e4, (pin + width) * 1e4, page.theme.accent, 0.1);
    },
    marks(u, { lane, market }) {
      const { cap, interest } = lane.header.funding;
      const [low, high] = [u.scales.bp.min, u.scales.bp.max];
      const pin = (interest === undefined ? 1e-4 : interest) * 1e4;
      const edge = cap[market] * 1e4;
      const taken = [];
      if (edge < high) rule(u, "bp", edge, page.theme.alarm, `cap ${sayBp(edge)}`, true, taken);
      if (-edge > low) rule(u, "bp", -edge, page.theme.alarm, `cap ${sayBp(-edge)}`, false, taken);
      rule(u, "bp", pin, page.theme.accent, `pin ${sayBp(pin)}`, false, taken);
    },
    text: ({ lane, market }, row) =>
      `Premium ${page.theme.bp(lane.value("premium", row, market))}, ` +
      `funding ${page.theme.bp(lane.value("rate", row, market))} per 8 hours.`,
  };

  const crowd = {
    id: "crowd",
    title: "Open interest and the crowd",
    question: "How much is at stake, and on which side?",
    help:
      "Open interest counts one side, in USD (left axis). Long share: part of the accounts that are " +
      "long. Herd: -100 % all short, +100 % all long (right axis).",
    key: keyOf("interest"),
    lines: ({ lane, market }) => [
      {
        label: "open interest",
        colour: page.theme.market(market),
        width: 2.5,
        say: (row) => page.theme.usd(lane.value("interest", row, market)),
      },
      {
        label: "long share",
        colour: page.theme.long,
        scale: "share",
        say: (row) => page.theme.percent(lane.value("long_share", row, market), 0),
      },
      {
        label: "herd",
        colour: page.theme.short,
        scale: "share",
        dash: [5, 3],
        say: (row) => page.theme.percent(lane.value("herd", row, market), 0),
      },
    ],
    data: ({ lane, market }, rows) => [
      steps(lane, rows),
      pick(lane, "interest", market, rows, 1),
      pick(lane, "long_share", market, rows, 100),
      pick(lane, "herd", market, rows, 100),
    ],
    scales: {
      usd: { say: (value) => page.theme.usd(value), floor: (low, high) => [0, high] },
      share: { say: (value) => page.theme.percent(value / 100, 0), fixed: [-100, 100] },
    },
    text: ({ lane, market }, row) =>
      `Open interest ${page.theme.usd(lane.value("interest", row, market))}, ` +
      `${page.theme.percent(lane.value("long_share", row, market), 0)} long.`,
  };

  const fund = {
    id: "fund",
    title: "Insurance fund",
    question: "Who stands in when an account cannot pay?",
    help: "What the venue's insurance fund holds. When it is empty, winners are deleveraged and losses shared.",
    key: keyOf("fund"),
    lines: ({ lane }) => [
      {
        label: "fund",
        colour: page.theme.fund,
        width: 2.5,
        say: (row) => page.theme.usd(lane.value("fund", row, 0)),
      },
      {
        label: "deleveraged",
        colour: page.theme.alarm,
        say: (row) => page.theme.usd(lane.value("adl", row, 0)),
      },
      {
        label: "shared loss",
        colour: page.theme.soft,
        dash: [5, 3],
        say: (row) => page.theme.usd(lane.value("socialised", row, 0)),
      },
    ],
    data: ({ lane }, rows) => [
      steps(lane, rows),
      ...["fund", "adl", "socialised"].map((name) => pick(lane, name, 0, rows, 1)),
    ],
    scales: {
      usd: {
        say: (value) => page.theme.usd(value),
        floor: (low, high) => [Math.min(0, low), Math.max(1, high)],
      },
    },
    text: ({ lane }, row) => `The insurance fund holds ${page.theme.usd(lane.value("fund", row, 0))}.`,
  };

  const liquidated = {
    id: "liquidated",
    title: "Liquidated",
    question: "How much was sold by force?",
    help: "Positions closed by the venue since the start, in USD, by market.",
    key:
      ({ lane }) =>
      (row) =>
        lane.total("liquidated", row),
    lines: ({ lane }) =>
      lane.header.markets.map((name, m) => ({
        label: name,
        colour: page.theme.market(m),
        width: 2.5,
        stepped: true,
        say: (row) => page.theme.usd(lane.value("liquidated", row, m)),
      })),
    data: ({ lane }, rows) => [
      steps(lane, rows),
      ...lane.header.markets.map((_, m) => pick(lane, "liquidated", m, rows, 1)),
    ],
    scales: {
      usd: { say: (value) => page.theme.usd(value), floor: (low, high) => [0, Math.max(1000, high)] },
    },
    text: ({ lane }, row) => `${page.theme.usd(lane.total("liquidated", row))} liquidated since the start.`,
  };

  /* Each drawn account's nearest pool, as a multiple of its maintenance margin, at quantiles. */
  function healthQuantile(lane, row, share) {
    const { A, M } = lane;
    const counts = new Uint32Array(256);
    let pools = 0;
    for (let a = 0; a < A; a++) {
      let least = 255;
      const at = (row * A + a) * (1 + M);
      for (let p = 0; p <= M; p++) least = Math.min(least, lane.accounts.health[at + p]);
      if (least < UNBURDENED) {
        counts[least] += 1;
        pools += 1;
      }
    }
    if (!pools) return NaN;
    let level = 0;
    for (let seen = counts[0]; seen <= share * pools && level < 254; seen += counts[level]) level += 1;
    return level ? Math.pow(lane.header.health_base, level - 1) : 1;
  }

  const times = (value) => (Number.isFinite(value) ? `${value.toFixed(value >= 10 ? 0 : 1)}×` : "–");

  const distance = {
    id: "distance",
    title: "Distance to liquidation",
    question: "How close to the edge do they stand?",
    help:
      "Equity over maintenance margin of the drawn accounts: at 1× the venue takes over. Half of " +
      "them, and nine in ten, are above the lines.",
    table: (lane) => lane.accounts,
    key:
      ({ lane }) =>
      (row) =>
        -lane.accounts.step[row],
    lines: ({ lane }) => [
      {
        label: "half are above",
        colour: page.theme.long,
        width: 2.5,
        say: (row) => times(healthQuantile(lane, row, 0.5)),
      },
      {
        label: "nine in ten are above",
        colour: page.theme.short,
        width: 2.5,
        say: (row) => times(healthQuantile(lane, row, 0.1)),
      },
    ],
    data: ({ lane }, rows) => [
      rows.map((row) => lane.accounts.step[row]),
      ...[0.5, 0.1].map((share) => rows.map((row) => healthQuantile(lane, row, share))),
    ],
    scales: { times: { say: times, floor: (low, high) => [0, Math.max(2, high)] } },
    marks: (u) => rule(u, "times", MAINTENANCE, page.theme.alarm, "maintenance: liquidated below", true, []),
    text: ({ lane }, row) =>
      `Nine in ten of the drawn accounts hold more than ${times(healthQuantile(lane, row, 0.1))} ` +
      "their maintenance margin.",
  };

  page.charts.kinds.push(premium, crowd, fund, liquidated, distance);
  Object.assign(page.charts, { healthQuantile, times });
})((window.page = window.page || {}));
