/* The price chart: index and mark, what was liquidated, the twin as a ghost, the audience's guess. */
(function (page) {
  "use strict";

  const { pick, steps } = page.charts;
  const ALL = -1;

  /* The twin's mark at the rows of a lane; null where it has none. */
  function ghost({ lane, other, market }, rows) {
    if (!other || !other.rows) return rows.map(() => null);
    const last = other.lastStep;
    return rows.map((row) => {
      const step = lane.frames.step[row];
      return step <= last && step >= other.firstStep ? other.price("mark", other.row(step), market) : null;
    });
  }

  /* Change of every market since the first row shown. */
  function changes({ lane }, rows) {
    return lane.header.markets.map((_, m) => {
      const base = rows.length ? lane.value("mark", rows[0], m) : NaN;
      return rows.map((row) => lane.value("mark", row, m) / base - 1);
    });
  }

  const shown = (context) => (context.relative ? ALL : context.market);

  function lines(context) {
    const { lane, other, market } = context;
    const { theme } = page;
    if (shown(context) === ALL) {
      return lane.header.markets.map((name, m) => ({
        label: name,
        colour: theme.market(m),
        width: 2.5,
        say: (row) => theme.price(lane.price("mark", row, m)),
      }));
    }
    const drawn = [
      {
        label: "index",
        colour: theme.soft,
        width: 1.5,
        dash: [5, 3],
        say: (row) => theme.price(lane.price("index", row, market)),
      },
      {
        label: "mark",
        colour: theme.market(market),
        width: 2.75,
        say: (row) => theme.price(lane.price("mark", row, market)),
      },
    ];
    if (other) {
      drawn.push({
        label: `twin (${other.header.label})`,
        colour: theme.ink,
        width: 1,
        say: (row) => theme.price(other.price("mark", other.row(lane.frames.step[row]), market)),
      });
    }
    return drawn;
  }

  function data(context, rows) {
    const x = steps(context.lane, rows);
    if (shown(context) === ALL) return [x, ...changes(context, rows)];
    const { lane, market } = context;
    const tick = lane.header.tick_size[market];
    const columns = [x, pick(lane, "index", market, rows, tick), pick(lane, "mark", market, rows, tick)];
    if (context.other) columns.push(ghost(context, rows));
    return columns;
  }

  const scaleOf = (context) => (shown(context) === ALL ? "change" : "usd");

  /* The area between the market and its twin: what the one change did. */
  function paintGap(u, context) {
    if (shown(context) === ALL || !context.other) return;
    const [x, , mark, twin] = u.data;
    const { ctx } = u;
    ctx.fillStyle = page.theme.alarm;
    ctx.globalAlpha = 0.16;
    ctx.beginPath();
    let any = false;
    const point = (i, values) => ctx.lineTo(u.valToPos(x[i], "x", true), u.valToPos(values[i], "usd", true));
    for (let i = 0; i < x.length; i++)
      if (twin[i] !== null) {
        point(i, mark);
        any = true;
      }
    for (let i = x.length - 1; i >= 0; i--) if (twin[i] !== null) point(i, twin);
    if (any) ctx.fill();
    ctx.globalAlpha = 1;
  }

  /* Liquidations as triangles at the mark, one a pixel column and side, larger for more dollars. */
  function paintLiquidations(u, context) {
    const { lane, market } = context;
    const [from, to] = lane.liqRange(context.span[0], Math.min(context.span[1], context.time));
    const all = shown(context) === ALL;
    const ratio = window.devicePixelRatio || 1;
    const sums = new Map();
    for (let i = from; i < to; i++) {
      const m = lane.liqs.market[i];
      if (!all && m !== market) continue;
      const x = u.valToPos(lane.liqs.step[i], "x", true);
      const key = `${Math.round(x / (4 * ratio))}|${m}|${lane.liqs.side[i]}`;
      const sum = sums.get(key) || { x, i, m, usd: 0 };
      sum.usd += lane.liqs.usd[i];
      sums.set(key, sum);
    }
    const largest = Math.max(1, ...[...sums.values()].map((sum) => sum.usd));
    for (const sum of sums.values())
      paintTriangle(u, context, sum, ratio * (3 + 7 * Math.sqrt(sum.usd / largest)));
  }

  function paintTriangle(u, context, { x, i, m }, size) {
    const { lane } = context;
    const side = lane.liqs.side[i];
    const row = lane.row(lane.liqs.step[i]);
    const at =
      shown(context) === ALL && context.chart.rows.length
        ? lane.value("mark", row, m) / lane.value("mark", context.chart.rows[0], m) - 1
        : lane.price("mark", row, m);
    const y = u.valToPos(at, scaleOf(context), true);
    const up = side ? 1 : -1; // a closed long is sold: it points down, from above the line
    const { ctx } = u;
    ctx.fillStyle = page.theme.side(side);
    ctx.globalAlpha = 0.8;
    ctx.beginPath();
    ctx.moveTo(x, y + up * 3);
    ctx.lineTo(x - size * 0.7, y + up * (3 + size * 1.3));
    ctx.lineTo(x + size * 0.7, y + up * (3 + size * 1.3));
    ctx.closePath();
    ctx.fill();
    ctx.globalAlpha = 1;
  }

  /* The level the audience bet on, from when it did to the right edge. */
  function paintGuess(u, context) {
    const { guess } = context;
    if (!guess || guess.market !== context.market || shown(context) === ALL) return;
    const { ctx } = u;
    const ratio = window.devicePixelRatio || 1;
    const y = u.valToPos(guess.price, "usd", true);
    const from = Math.max(u.bbox.left, u.valToPos(guess.at_step, "x", true));
    const right = u.bbox.left + u.bbox.width;
    ctx.strokeStyle = page.theme.accent;
    ctx.lineWidth = 2 * ratio;
    ctx.setLineDash([8 * ratio, 5 * ratio]);
    ctx.beginPath();
    ctx.moveTo(Math.min(from, right - 40 * ratio), y);
    ctx.lineTo(right, y);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.font = page.theme.font(14 * ratio, 700);
    ctx.fillStyle = page.theme.accent;
    ctx.textAlign = "right";
    ctx.textBaseline = "bottom";
    const words = `guess ${page.theme.price(guess.price)}`;
    ctx.strokeStyle = page.theme.paper;
    ctx.lineWidth = 4 * ratio;
    ctx.strokeText(words, right - 6 * ratio, y - 4 * ratio);
    ctx.fillText(words, right - 6 * ratio, y - 4 * ratio);
    ctx.textAlign = "left";
  }

  const pushedOf = new WeakMap();

  /* Dollars liquidated because other liquidations moved prices, in a market up to a step: each one's
     size times the share of its cause that is others' (see the ties of the store). */
  function pushed(lane, step, market) {
    let sums = pushedOf.get(lane);
    if (!sums || sums.version !== lane.version) {
      sums = {
        version: lane.version,
        by: lane.header.markets.map(() => new Float64Array(lane.liqs.count + 1)),
      };
      for (let i = 0; i < lane.liqs.count; i++) {
        const share = lane
          .ties(lane.liqs.id[i])
          .reduce((sum, tie) => sum + (tie.parent >= 0 ? tie.weight : 0), 0);
        sums.by.forEach((sum, m) => {
          sum[i + 1] = sum[i] + (m === lane.liqs.market[i] ? share * lane.liqs.usd[i] : 0);
        });
      }
      pushedOf.set(lane, sums);
    }
    return sums.by[market][lane.liqRange(-Infinity, step)[1]];
  }

  /* What the area between the lines is, in dollars; empty while there is no twin. */
  function sayGap({ lane, other, market, time }) {
    if (!other || !lane.rows || !other.rows || other.lastStep < lane.firstStep) return "";
    const step = Math.min(time, lane.lastStep, other.lastStep);
    const gap = lane.price("mark", lane.row(step), market) - other.price("mark", other.row(step), market);
    const size = page.theme.apart(Math.abs(gap));
    const apart = gap ? `${size} ${gap < 0 ? "below" : "above"} the twin` : "";
    const sold = pushed(lane, step, market);
    const forced = sold > 0 ? `${page.theme.usd(sold)} sold because others were liquidated` : "";
    return [forced, apart].filter(Boolean).join("; ");
  }

  function text(context, row) {
    const { lane, market } = context;
    const name = lane.header.markets[market];
    const mark = page.theme.price(lane.price("mark", row, market));
    const [from, to] = lane.liqRange(0, context.time);
    const gap = sayGap(context);
    const words = `${name} marks ${mark}, index ${page.theme.price(lane.price("index", row, market))}`;
    return `${words}; ${to - from} liquidations so far.${gap ? ` ${gap}.` : ""}`;
  }

  /* Lanes side by side share one scale: the eye compares them. */
  function sharedRange(low, high, { lanes, chart, market }) {
    let [least, most] = [low, high];
    for (const lane of lanes) {
      for (const row of chart.rows) {
        const mark = row < lane.rows ? lane.price("mark", row, market) : NaN;
        if (mark < least) least = mark;
        if (mark > most) most = mark;
      }
    }
    return [least, most];
  }

  const prices = {
    id: "prices",
    title: "Prices",
    question: "How far does it fall?",
    help:
      "Mark price (thick) and index (dashed), USD. Triangles: liquidations, of longs (from above) " +
      "and of shorts (from below), larger for more dollars. A twin's mark is the thin line; the " +
      "area between is what the one change did.",
    key:
      ({ lane, market }) =>
      (row) =>
        lane.value("mark", row, market),
    lines,
    data,
    scales: { usd: { say: (value) => page.theme.price(value), floor: sharedRange } },
    under: paintGap,
    marks(u, context) {
      paintLiquidations(u, context);
      paintGuess(u, context);
    },
    text,
    note: sayGap,
  };

  /* All markets at once, as changes: the same chart on an axis in percent. */
  const relative = {
    ...prices,
    scales: { change: { say: (value) => page.theme.percent(value) } },
    note: () => "",
  };

  Object.assign(page.charts, { prices, relative });
})((window.page = window.page || {}));
