/* Lines over time, drawn by uPlot: what all charts share, and the charts that are only lines. */
(function (page) {
  "use strict";

  const MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 480, 720, 1440, 2880, 7200, 14400, 43200];
  const MAINTENANCE = 1;
  const UNBURDENED = 250; // health of a pool without positions; 255: no such pool

  /* The rows of a table in [from, to] to draw on so many pixels: all, or the lowest and the highest
     of the key column in each group of rows. Groups lie on fixed rows, so that nothing flickers. */
  function rowsShown(table, from, to, pixels, key) {
    if (!table.count) return [];
    const first = Math.max(0, page.below(table.step, table.count, from) - 1);
    const last = page.below(table.step, table.count, to + 1e-9);
    const stride = Math.max(1, Math.floor((last - first) / Math.max(1, pixels)));
    const rows = [];
    if (stride < 3) {
      for (let i = first; i < last; i++) rows.push(i);
      return rows;
    }
    for (let group = first - (first % stride); group < last; group += stride) {
      let low = Math.max(first, group);
      let high = low;
      for (let i = low + 1; i < Math.min(last, group + stride); i++) {
        if (key(i) < key(low)) low = i;
        if (key(i) > key(high)) high = i;
      }
      rows.push(Math.min(low, high));
      if (low !== high) rows.push(Math.max(low, high));
    }
    return rows;
  }

  /* The widest of 1, 2 and 5 times a power of ten that is not above a length. */
  function roundStep(length) {
    const power = Math.pow(10, Math.floor(Math.log10(length)));
    return power * [5, 2, 1].find((times) => times * power <= length * (1 + 1e-9));
  }

  /* A range that ends on round numbers: it stays while time moves, and lanes side by side agree. */
  function roundRange(low, high, floor) {
    if (low === null || !Number.isFinite(low)) return [0, 1];
    const [least, most] = floor ? floor(low, high) : [low, high];
    const step = roundStep(Math.max((most - least) / 6, Math.abs(most) * 1e-4, 1e-9));
    const room = 0.25 * step;
    const bottom = least < low && least === 0 ? 0 : Math.floor((least - room) / step) * step;
    return [bottom, Math.ceil((most + room) / step) * step];
  }

  const atLeast = (bottom, top) => (low, high) => [Math.min(low, bottom), Math.max(high, top)];

  /* One chart in a panel. `spec` says what is drawn:
       lines(context)            [{label, colour, width, dash, scale, say(row) -> text}]
       data(context, rows)       [x, y of each line ...]
       table(lane), key(context) the rows drawn, and what thinning them must keep
       scales                    {name: {floor, say(value), side}}
       marks(u, context)         drawn over the lines; under(u, context) below them            */
  class Chart {
    constructor(root, spec) {
      this.root = root;
      this.spec = spec;
      this.plot = null;
      this.made = "";
      this.cursorRow = null;
    }

    /* Draw what changed. `context`: {lane, other, market, time, span, width, height, ...} */
    update(context) {
      this.context = context;
      const lines = this.spec.lines(context);
      const made = [page.theme.version, context.market, lines.map((line) => line.label).join()].join("|");
      const table = this.spec.table ? this.spec.table(context.lane) : context.lane.frames;
      const rows = rowsShown(table, context.span[0], Math.min(context.span[1], context.time),
        context.width, this.spec.key(context));
      this.rows = rows;
      this.table = table;
      const data = this.spec.data(context, rows);
      if (made !== this.made || !this.plot) {
        this.made = made;
        if (this.plot) this.plot.destroy();
        this.plot = new window.uPlot(this.options(context, lines), data, this.root);
      } else {
        if (this.plot.width !== context.width || this.plot.height !== context.height) {
          this.plot.setSize({ width: context.width, height: context.height });
        }
        this.plot.setData(data);
      }
      return lines;
    }

    /* The row under the pointer, or the last one shown. */
    sayRow() {
      if (!this.rows.length) return -1;
      const i = this.cursorRow;
      return this.rows[i === null || i === undefined || i >= this.rows.length ? this.rows.length - 1 : i];
    }

    options(context, lines) {
      const { theme } = page;
      const names = Object.keys(this.spec.scales);
      const scales = { x: { time: false, range: () => this.context.span } };
      for (const name of names) {
        const scale = this.spec.scales[name];
        const floor = scale.floor && ((low, high) => scale.floor(low, high, this.context));
        scales[name] = { range: scale.fixed || ((u, low, high) => roundRange(low, high, floor)) };
      }
      const font = theme.font(context.small ? 11 : 13);
      const grid = { stroke: theme.grid, width: 1 };
      return {
        width: context.width,
        height: context.height,
        padding: [8, names.length > 1 ? 0 : 22, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { setScale: false, x: false, y: false }, points: { show: false } },
        scales,
        axes: [
          {
            stroke: theme.soft, font, grid, ticks: { show: false }, size: 26, gap: 6, space: 70,
            incrs: MINUTES.map((minutes) => minutes / context.lane.header.step_minutes),
            values: (u, splits) => splits.map((step) => this.sayTime(step)),
          },
          ...names.map((name, i) => ({
            scale: name, stroke: theme.soft, font, side: i ? 1 : 3, size: context.small ? 58 : 66, gap: 4,
            grid: i ? { show: false } : grid, ticks: { show: false }, space: 34,
            values: (u, splits) => splits.map((value) => this.spec.scales[name].say(value, splits)),
          })),
        ],
        series: [{}, ...lines.map((line) => ({
          scale: line.scale || names[0], stroke: line.colour, width: line.width || 1.5, dash: line.dash,
          points: { show: false }, spanGaps: false,
          paths: line.stepped ? window.uPlot.paths.stepped({ align: 1 }) : undefined,
        }))],
        hooks: {
          drawClear: [(u) => this.paint(u, this.spec.under)],
          draw: [(u) => this.paint(u, this.spec.marks)],
          setCursor: [(u) => { this.cursorRow = u.cursor.idx; }],
        },
      };
    }

    paint(u, draw) {
      if (!draw) return;
      u.ctx.save();
      u.ctx.beginPath();
      u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
      u.ctx.clip();
      draw(u, this.context);
      u.ctx.restore();
    }

    /* Midnights are days, the rest are hours. */
    sayTime(step) {
      const minutes = step * this.context.lane.header.step_minutes;
      if (Math.abs(minutes % 1440) < 1e-6) return `day ${Math.round(minutes / 1440) + 1}`;
      return page.theme.hour(step, this.context.lane.header.step_minutes);
    }

    get canvas() {
      return this.plot ? this.plot.ctx.canvas : null;
    }

    destroy() {
      if (this.plot) this.plot.destroy();
      this.plot = null;
    }
  }

  /* Values of a column at rows, times a factor; a market's, or those of the whole venue. */
  function pick(lane, name, market, rows, factor) {
    const values = lane.frames[name];
    if (!values) return rows.map(() => null);
    const width = lane.frames.widths[name];
    const shift = width > 1 ? market : 0;
    return rows.map((row) => {
      const value = values[row * width + shift];
      return Number.isFinite(value) ? value * factor : null;
    });
  }

  const steps = (lane, rows) => rows.map((row) => lane.frames.step[row]);
  const keyOf = (name) => ({ lane, market }) => (row) => lane.value(name, row, market);

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
    help: "The premium of the perp over its index, and the funding rate per 8 hours. Inside the shaded band the rate stays pinned; dashed lines are the cap.",
    key: keyOf("premium"),
    lines: ({ lane, market }) => [
      { label: "premium", colour: page.theme.soft, say: (row) => page.theme.bp(lane.value("premium", row, market)) },
      { label: "next", colour: page.theme.accent, width: 1.5, dash: [4, 3],
        say: (row) => page.theme.bp(lane.value("next", row, market)) },
      { label: "rate, per 8 h", colour: page.theme.market(market), width: 2.5, stepped: true,
        say: (row) => page.theme.bp(lane.value("rate", row, market)) },
    ],
    data: ({ lane, market }, rows) => [steps(lane, rows),
      ...["premium", "next", "rate"].map((name) => pick(lane, name, market, rows, 1e4))],
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
      `Premium ${page.theme.bp(lane.value("premium", row, market))}, funding ${page.theme.bp(lane.value("rate", row, market))} per 8 hours.`,
  };

  const crowd = {
    id: "crowd",
    title: "Open interest and the crowd",
    question: "How much is at stake, and on which side?",
    help: "Open interest counts one side, in USD (left axis). Long share: part of the accounts that are long. Herd: -100 % all short, +100 % all long (right axis).",
    key: keyOf("interest"),
    lines: ({ lane, market }) => [
      { label: "open interest", colour: page.theme.market(market), width: 2.5,
        say: (row) => page.theme.usd(lane.value("interest", row, market)) },
      { label: "long share", colour: page.theme.long, scale: "share",
        say: (row) => page.theme.percent(lane.value("long_share", row, market), 0) },
      { label: "herd", colour: page.theme.short, scale: "share", dash: [5, 3],
        say: (row) => page.theme.percent(lane.value("herd", row, market), 0) },
    ],
    data: ({ lane, market }, rows) => [steps(lane, rows), pick(lane, "interest", market, rows, 1),
      pick(lane, "long_share", market, rows, 100), pick(lane, "herd", market, rows, 100)],
    scales: {
      usd: { say: (value) => page.theme.usd(value), floor: (low, high) => [0, high] },
      share: { say: (value) => page.theme.percent(value / 100, 0), fixed: [-100, 100] },
    },
    text: ({ lane, market }, row) =>
      `Open interest ${page.theme.usd(lane.value("interest", row, market))}, ${page.theme.percent(lane.value("long_share", row, market), 0)} long.`,
  };

  const fund = {
    id: "fund",
    title: "Insurance fund",
    question: "Who stands in when an account cannot pay?",
    help: "What the venue's insurance fund holds. When it is empty, winners are deleveraged and losses shared.",
    key: keyOf("fund"),
    lines: ({ lane }) => [
      { label: "fund", colour: page.theme.fund, width: 2.5, say: (row) => page.theme.usd(lane.value("fund", row, 0)) },
      { label: "deleveraged", colour: page.theme.alarm, say: (row) => page.theme.usd(lane.value("adl", row, 0)) },
      { label: "shared loss", colour: page.theme.soft, dash: [5, 3],
        say: (row) => page.theme.usd(lane.value("socialised", row, 0)) },
    ],
    data: ({ lane }, rows) => [steps(lane, rows),
      ...["fund", "adl", "socialised"].map((name) => pick(lane, name, 0, rows, 1))],
    scales: { usd: { say: (value) => page.theme.usd(value), floor: (low, high) => [Math.min(0, low), Math.max(1, high)] } },
    text: ({ lane }, row) => `The insurance fund holds ${page.theme.usd(lane.value("fund", row, 0))}.`,
  };

  const liquidated = {
    id: "liquidated",
    title: "Liquidated",
    question: "How much was sold by force?",
    help: "Positions closed by the venue since the start, in USD, by market.",
    key: ({ lane }) => (row) => lane.total("liquidated", row),
    lines: ({ lane }) => lane.header.markets.map((name, m) => ({
      label: name, colour: page.theme.market(m), width: 2.5, stepped: true,
      say: (row) => page.theme.usd(lane.value("liquidated", row, m)),
    })),
    data: ({ lane }, rows) => [steps(lane, rows),
      ...lane.header.markets.map((_, m) => pick(lane, "liquidated", m, rows, 1))],
    scales: { usd: { say: (value) => page.theme.usd(value), floor: (low, high) => [0, Math.max(1000, high)] } },
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
    help: "Equity over maintenance margin of the drawn accounts: at 1× the venue takes over. Half of them, and nine in ten, are above the lines.",
    table: (lane) => lane.accounts,
    key: ({ lane }) => (row) => -lane.accounts.step[row],
    lines: ({ lane }) => [
      { label: "half are above", colour: page.theme.long, width: 2.5, say: (row) => times(healthQuantile(lane, row, 0.5)) },
      { label: "nine in ten are above", colour: page.theme.short, width: 2.5, say: (row) => times(healthQuantile(lane, row, 0.1)) },
    ],
    data: ({ lane }, rows) => [rows.map((row) => lane.accounts.step[row]),
      ...[0.5, 0.1].map((share) => rows.map((row) => healthQuantile(lane, row, share)))],
    scales: { times: { say: times, floor: (low, high) => [0, Math.max(2, high)] } },
    marks: (u) => rule(u, "times", MAINTENANCE, page.theme.alarm, "maintenance: liquidated below", true, []),
    text: ({ lane }, row) => `Nine in ten of the drawn accounts hold more than ${times(healthQuantile(lane, row, 0.1))} their maintenance margin.`,
  };

  page.charts = { Chart, kinds: [premium, crowd, fund, liquidated, distance], pick, steps, keyOf, healthQuantile, times };
})((window.page = window.page || {}));
