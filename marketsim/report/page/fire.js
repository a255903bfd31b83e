/* What would be liquidated at each price, and the price line that burns through it. */
(function (page) {
  "use strict";

  const C = page.canvas;
  const R = page.readings;
  /* Steps of the past in sight: few enough that one step of a cascade has a width. */
  const WINDOW = 90;
  /* Share of a panel's width that shows what waits at each price now. */
  const AHEAD = 0.2;
  /* Steps after which a fire's brightness has fallen to a third. */
  const EMBER = 6;
  const LEVELS = 12;
  const MOST_BURNING = 4000;
  const SPARK_SECONDS = 0.7;

  const isAcross = (lane, { via, child }) => via !== lane.liqs.market[child];
  const memoryOf = C.memory(() => ({
    ranges: [],
    layers: [],
    flights: new page.Flights(SPARK_SECONDS, isAcross),
  }));

  /* Columns of panels so that each is about four times as wide as high. */
  function columnsFor(count, width, height) {
    let best = 1;
    let least = Infinity;
    for (let columns = 1; columns <= count; columns++) {
      const rows = Math.ceil(count / columns);
      const shape = width / columns / (height / rows);
      const cost = Math.abs(Math.log(shape / 4)) + 0.3 * (columns * rows - count);
      if (cost < least) [best, least] = [columns, cost];
    }
    return best;
  }

  function legendEntries(area) {
    const { theme, other } = area;
    const [from, to] = page.fuel.scale(area.lane);
    const entries = [
      { colour: theme.long, label: "longs that would go" },
      { colour: theme.short, label: "shorts" },
      { colour: theme.fire(1), label: "burning now" },
      { colour: theme.fire(0.5), label: "ember" },
      { colour: theme.soft, label: "burnt" },
      { colour: theme.ink, label: "mark price", shape: "line" },
      { colour: theme.fire(0.8), label: "loss passed on", shape: "line" },
      { colour: "rgba(0,0,0,0)", label: `faint ${from} to full ${to} per 1 % of price` },
    ];
    const ghost = { colour: theme.soft, label: "the other run", shape: "line" };
    return other ? [...entries.slice(0, -1), ghost, ...entries.slice(-1)] : entries;
  }

  function layout(area) {
    const { lane } = area;
    const px = C.size(area);
    const entries = legendEntries(area);
    const legend = area.height > 190 ? C.legendHeight(area, entries, area.width - px, px * 0.9) : 0;
    const height = area.height - legend - px * 1.7;
    const columns = columnsFor(lane.M, area.width, height);
    const rows = Math.ceil(lane.M / columns);
    const left = px * 4.9;
    const cell = { width: area.width / columns, height: height / rows };
    const panels = lane.header.markets.map((_, m) => ({
      x: (m % columns) * cell.width + left,
      y: Math.floor(m / columns) * cell.height + px * 1.4,
      width: cell.width - left - px * 0.5,
      height: cell.height - px * 1.8,
    }));
    const history = panels[0].width * (1 - AHEAD);
    return { px, panels, columns, rows, entries, legend, history, perStep: history / WINDOW };
  }

  /* The prices a panel shows: what the mark did in the window, with room; eased so that nothing jumps. */
  function range(area, kept, m) {
    const { lane, time } = area;
    const tick = lane.header.tick_size[m];
    const end = lane.row(time);
    let low = Infinity;
    let high = -Infinity;
    for (let row = lane.row(time - WINDOW); row <= end; row++) {
      const mark = lane.value("mark", row, m) * tick;
      low = Math.min(low, mark);
      high = Math.max(high, mark);
    }
    const room = Math.max((high - low) * 0.35, high * 0.012);
    const unit = 2 ** Math.round(Math.log2(room)) / 2;
    const wanted = [Math.floor((low - room) / unit) * unit, Math.ceil((high + room) / unit) * unit];
    const now = kept.ranges[m];
    const isFar = !now || Math.abs(area.time - kept.time) > WINDOW / 2 || area.reduced;
    if (!isFar && Math.abs(now[0] - wanted[0]) > unit / 50 && area.animate) area.animate();
    kept.ranges[m] = isFar ? wanted : now.map((edge, i) => edge + (wanted[i] - edge) * 0.25);
    return kept.ranges[m];
  }

  const yOf = (panel, [low, high], price) =>
    panel.y + panel.height * (1 - C.clamp((price - low) / (high - low), -0.05, 1.05));
  const xOf = (area, place, panel, time) => panel.x + place.history - (area.time - time) * place.perStep;

  function drawLine(area, place, m, edges, name, thick, colour, lane) {
    const panel = place.panels[m];
    const context = area.context;
    const tick = lane.header.tick_size[m];
    const end = lane.row(area.time);
    if (end < 0) return;
    context.beginPath();
    for (let row = lane.row(area.time - WINDOW); row <= end; row++) {
      const step = lane.frames.step[row];
      context.lineTo(xOf(area, place, panel, step), yOf(panel, edges, lane.value(name, row, m) * tick));
    }
    context.lineTo(panel.x + place.history, yOf(panel, edges, markNow(lane, m, area.time, name)));
    context.strokeStyle = colour;
    context.lineWidth = thick;
    context.stroke();
  }

  /* The price between two steps. */
  function markNow(lane, m, time, name) {
    const row = lane.row(time);
    const here = lane.value(name || "mark", row, m);
    const next = row + 1 < lane.rows ? lane.value(name || "mark", row + 1, m) : here;
    const share = C.clamp(time - lane.frames.step[row], 0, 1);
    return (here + (next - here) * share) * lane.header.tick_size[m];
  }

  /* Where a liquidation burns. */
  function spot(area, place, kept, i) {
    const { liqs, header } = area.lane;
    const m = liqs.market[i];
    const panel = place.panels[m];
    const price = (liqs.price[i] || liqs.mark[i]) * header.tick_size[m];
    const time = R.ignitions(area.lane)[i];
    const edge = place.px * 0.2;
    const y = yOf(panel, kept.ranges[m], price);
    return {
      x: Math.max(panel.x, xOf(area, place, panel, time)),
      y: C.clamp(y, panel.y + edge, panel.y + panel.height - edge),
    };
  }

  /* Half the width of a fire: its area goes with its dollars. */
  const radius = (place, usd) => place.px * C.clamp(0.12 + 0.0016 * Math.sqrt(usd), 0.14, 0.9);

  /* The fires of the window by brightness: one path for each level, the brightest last. */
  function drawFires(area, place, kept) {
    const { lane, theme, context, time } = area;
    const end = R.burnt(lane, time);
    const first = Math.max(R.burnt(lane, time - WINDOW), end - MOST_BURNING);
    const times = R.ignitions(lane);
    const paths = Array.from({ length: LEVELS + 1 }, () => new Path2D());
    for (let i = first; i < end; i++) {
      const heat = Math.exp(-(time - times[i]) / EMBER);
      const { x, y } = spot(area, place, kept, i);
      const burning = Math.round(heat * LEVELS);
      const half = radius(place, lane.liqs.usd[i]) * (burning ? 0.7 + 0.6 * heat : 0.45);
      paths[burning].rect(x - half, y - half, 2 * half, 2 * half);
    }
    paths.forEach((path, burning) => {
      context.fillStyle = burning ? theme.fire(0.35 + (0.65 * burning) / LEVELS) : theme.soft;
      context.globalAlpha = burning ? 1 : 0.7;
      context.fill(path);
    });
    context.globalAlpha = 1;
  }

  /* Where a spark comes from: the fire that caused the loss, else the price line of its market. */
  function source(area, place, kept, { parent, via, child }) {
    if (parent >= 0) return spot(area, place, kept, parent);
    const panel = place.panels[via];
    const time = R.ignitions(area.lane)[child];
    const y = yOf(panel, kept.ranges[via], markNow(area.lane, via, time));
    return {
      x: Math.max(panel.x, xOf(area, place, panel, time)),
      y: C.clamp(y, panel.y, panel.y + panel.height),
    };
  }

  function drawSparks(area, place, kept) {
    const { theme, context } = area;
    kept.flights.update(area);
    const flights = area.reduced ? kept.flights.still(area, 3) : kept.flights.list;
    for (const flight of flights) {
      const from = source(area, place, kept, flight);
      const to = spot(area, place, kept, flight.child);
      if (area.reduced) {
        C.line(area, from.x, from.y, to.x, to.y, theme.fire(0.8), 1.5);
        continue;
      }
      const bend = { x: (from.x + to.x) / 2 + place.px * 3, y: (from.y + to.y) / 2 };
      const at = (s) => ({
        x: (1 - s) ** 2 * from.x + 2 * s * (1 - s) * bend.x + s * s * to.x,
        y: (1 - s) ** 2 * from.y + 2 * s * (1 - s) * bend.y + s * s * to.y,
      });
      const head = at(flight.share);
      const tail = at(Math.max(0, flight.share - 0.15));
      C.line(area, tail.x, tail.y, head.x, head.y, theme.fire(0.8), place.px * 0.18);
      context.fillStyle = theme.fire(1);
      context.fillRect(head.x - place.px * 0.16, head.y - place.px * 0.16, place.px * 0.32, place.px * 0.32);
    }
  }

  function drawFrame(area, place, m, edges) {
    const { theme } = area;
    const { px, panels } = place;
    const panel = panels[m];
    const low = { px: px * 0.9, colour: theme.soft, align: "right", baseline: "middle", room: px * 4.6 };
    for (const price of C.roundValues(edges[0], edges[1], Math.max(1, panel.height / (px * 2.2)))) {
      const y = yOf(panel, edges, price);
      C.line(area, panel.x, y, panel.x + panel.width, y, theme.grid, 1);
      if (y > panel.y + px * 0.4) C.write(area, theme.price(price), panel.x - px * 0.3, y, low);
    }
  }

  /* What burnt in the window, in as many words as there is room for. */
  function burntWords(area, m, room) {
    const { theme, lane } = area;
    const { usd } = burningNow(area, m);
    if (!usd) return "";
    const sum = theme.usd(usd);
    const words = [`${sum} burnt in ${R.minutes(lane, WINDOW)}`, `${sum} burnt`, sum];
    return words.find((each) => C.wide(area, each, C.size(area)) <= room) || "";
  }

  function drawTitle(area, place, m) {
    const { theme, lane } = area;
    const { px, panels } = place;
    const panel = panels[m];
    const price = theme.price(markNow(lane, m, area.time));
    const x = panel.x - px * 4.6;
    const y = panel.y - px * 0.3;
    const room = panel.x + panel.width - x;
    const isChosen = area.selected && area.selected.market === m;
    const free = room - C.wide(area, price, px) - px * 1.6;
    const name = C.fit(area, lane.header.markets[m], Math.max(px * 4, free * 0.55), px, 700);
    const used = C.wide(area, name, px, 700);
    C.write(area, name, x, y, { px, weight: 700, colour: isChosen ? theme.accent : theme.ink });
    C.write(area, price, x + used + px * 0.6, y, { px });
    C.write(area, burntWords(area, m, free - used), x + room, y, { px, align: "right" });
  }

  /* What burnt in one market within the window. */
  function burningNow(area, m) {
    const { lane, time } = area;
    const { first, end } = R.recent(lane, time, WINDOW);
    let usd = 0;
    let count = 0;
    for (let i = first; i < end; i++) {
      if (lane.liqs.market[i] !== m) continue;
      usd += lane.liqs.usd[i];
      count += 1;
    }
    return { usd, count };
  }

  function clipTo(area, panels, paint) {
    area.context.save();
    area.context.beginPath();
    for (const { x, y, width, height } of panels) area.context.rect(x, y, width, height);
    area.context.clip();
    paint();
    area.context.restore();
  }

  function drawPanel(area, place, kept, m, parts) {
    const { theme, context } = area;
    const panel = place.panels[m];
    const edges = range(area, kept, m);
    drawFrame(area, place, m, edges);
    clipTo(area, [panel], () => {
      const toX = (time) => xOf(area, place, panel, time);
      page.fuel.drawPast(area, panel, kept.layers, m, edges, parts, toX);
      page.fuel.drawAhead(area, panel, m, edges, parts[parts.length - 1], toX(area.time));
      if (area.other && area.other.M > m) drawLine(area, place, m, edges, "mark", 1, theme.soft, area.other);
      drawLine(area, place, m, edges, "mark", Math.max(2, place.px * 0.16), theme.ink, area.lane);
    });
    const x = panel.x + place.history;
    C.line(area, x, panel.y, x, panel.y + panel.height, theme.soft, 1, [3, 3]);
    const y = yOf(panel, edges, markNow(area.lane, m, area.time));
    const isBurning = burningIn(area, m);
    context.fillStyle = isBurning ? theme.fire(0.8) : theme.ink;
    context.beginPath();
    context.arc(x, y, place.px * (isBurning ? 0.5 : 0.32), 0, 2 * Math.PI);
    context.fill();
    if (m + place.columns >= area.lane.M) {
      const past = { ...panel, width: place.history };
      C.timeAxis(area, past, area.time - WINDOW, area.time, place.px * 0.9);
    }
  }

  /* Whether the front is in flames: something burnt here within the last two steps. */
  function burningIn(area, m) {
    const { first, end } = R.recent(area.lane, area.time, 2);
    for (let i = first; i < end; i++) if (area.lane.liqs.market[i] === m) return true;
    return false;
  }

  function drawChosen(area, place, kept) {
    const chosen = area.selected;
    if (!chosen || chosen.kind !== "liquidation") return;
    const i = area.lane.liqRow(chosen.id);
    if (i < 0 || R.ignitions(area.lane)[i] > area.time || area.time - R.ignitions(area.lane)[i] > WINDOW)
      return;
    const { x, y } = spot(area, place, kept, i);
    area.context.strokeStyle = area.theme.accent;
    area.context.lineWidth = 2.5;
    area.context.beginPath();
    area.context.arc(x, y, place.px * 0.9, 0, 2 * Math.PI);
    area.context.stroke();
  }

  function draw(area) {
    const { lane } = area;
    if (!lane.rows) {
      C.waiting(area, "What could burn appears with the first step.");
      return;
    }
    C.clear(area);
    const kept = memoryOf(area);
    const place = layout(area);
    const parts = page.fuel.inSight(lane, area.time, WINDOW);
    for (let m = 0; m < lane.M; m++) drawPanel(area, place, kept, m, parts);
    clipTo(area, place.panels, () => drawFires(area, place, kept));
    drawSparks(area, place, kept);
    drawChosen(area, place, kept);
    for (let m = 0; m < lane.M; m++) drawTitle(area, place, m);
    if (place.legend) {
      const top = area.height - place.legend;
      C.legend(area, place.entries, place.px * 0.5, top, area.width - place.px, place.px * 0.9);
    }
    kept.time = area.time;
  }

  function sentenceOf(area, m) {
    const { lane, theme } = area;
    const [longs, shorts] = page.fuel.within(area, m, 0.02);
    const { usd, count } = burningNow(area, m);
    const last = `in the last ${R.minutes(lane, WINDOW)}`;
    const burnt = count ? `; ${count} liquidation${count === 1 ? "" : "s"} of ${theme.usd(usd)} ${last}` : "";
    const mark = theme.price(markNow(lane, m, area.time));
    const waiting = `${theme.usd(longs)} of longs and ${theme.usd(shorts)} of shorts`;
    return `${R.market(lane, m)} marks at ${mark}: within 2 % of it wait ${waiting}${burnt}`;
  }

  /* The fire under the pointer, else the market. */
  function pick(area, x, y) {
    const { lane, time } = area;
    if (!lane.rows) return null;
    const kept = memoryOf(area);
    const place = layout(area);
    const isIn = (panel) =>
      x >= panel.x - place.px * 5 &&
      x <= panel.x + panel.width &&
      y >= panel.y - place.px * 1.4 &&
      y <= panel.y + panel.height;
    const m = place.panels.findIndex(isIn);
    if (m < 0 || !kept.ranges[m]) return null;
    let nearest = -1;
    let least = place.px * 0.9;
    for (let i = R.burnt(lane, time - WINDOW), end = R.burnt(lane, time); i < end; i++) {
      if (lane.liqs.market[i] !== m) continue;
      const at = spot(area, place, kept, i);
      const distance = Math.hypot(at.x - x, at.y - y);
      if (distance <= least) [nearest, least] = [i, distance];
    }
    if (nearest >= 0) return R.pickLiquidation(lane, nearest);
    return { kind: "market", market: m, text: sentenceOf(area, m) };
  }

  /* Left and right go from fire to fire, up and down from market to market. */
  function move(area, direction) {
    const { lane, selected } = area;
    const end = R.burnt(lane, area.time);
    if (direction === "up" || direction === "down") {
      const at = selected && selected.market >= 0 ? selected.market : -1;
      const m = (at + (direction === "down" ? 1 : -1) + lane.M) % lane.M;
      return { kind: "market", market: m, text: sentenceOf(area, m) };
    }
    if (!end) return null;
    const now = selected && selected.kind === "liquidation" ? lane.liqRow(selected.id) : end;
    const to = { left: now - 1, right: now + 1, home: 0, end: end - 1 }[direction];
    return R.pickLiquidation(lane, C.clamp(to, 0, end - 1));
  }

  function text(area) {
    if (!area.lane.rows) return "Nothing recorded yet.";
    const all = area.lane.header.markets.map((_, m) => sentenceOf(area, m));
    return `${R.clock(area.lane, area.time)}: ${all.join(". ")}.`;
  }

  page.views.push({
    id: "fire",
    title: "Liquidation map",
    question: "What burns if the price moves, and where do the sparks land?",
    help:
      "Price goes up, time to the right, up to the broken line: now. Colour, and the bars right of " +
      "now, are the dollars that would be liquidated if a market's mark went there while all else " +
      "stood still: a calculation from every account's margin, by the venue's own rules, not a " +
      "forecast. Squares are liquidations as they were executed, at their price (measured): they " +
      "burn, glow and leave ash. Sparks fly from the market in which an account lost to another in " +
      "which it was liquidated for it: from the liquidation that caused the loss, or from the price " +
      "line where news did (attributed). The thin line is the other run, where there is one.",
    draw,
    pick,
    move,
    text,
  });
})((window.page = window.page || {}));
