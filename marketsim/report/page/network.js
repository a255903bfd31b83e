/* Accounts and markets, and the dollars that liquidations pass on between them. */
(function (page) {
  "use strict";

  const C = page.canvas;
  const R = page.readings;
  const PULSE_SECONDS = 1.1;
  /* Radii of the accounts' rings and of the markets' ring, shares of the ellipse. */
  const RINGS = [0.98, 0.88, 0.78];
  const MARKET_RING = 0.42;
  const WIDE_MARKET_RING = 0.55;
  /* Arrows and sums shown: those with most dollars. */
  const MOST_ARROWS = 14;
  const MOST_SUMS = 3;
  const BEND = 3.5; // sizes of text, at most
  const ALONG = [0.5, 0.36, 0.64, 0.25, 0.75]; // of an arrow: where its sum may stand, the best first
  /* Steps for which a struck account glows. */
  const GLOW = 5;
  /* Upper limits of equity over maintenance, and how hot each class is drawn. */
  const CLASSES = [
    { below: 1.05, heat: 1, label: "at its line" },
    { below: 1.5, heat: 0.75, label: "under 1.5×" },
    { below: 2, heat: 0.55, label: "under 2×" },
    { below: 4, heat: 0.4, label: "under 4×" },
    { below: Infinity, heat: 0, label: "safer, or flat" },
  ];

  const memoryOf = C.memory(() => ({ flights: new page.Flights(PULSE_SECONDS, () => true) }));

  /* Places on the unit circle: a population an arc, in its arc ring by ring. They follow from the
     list of drawn accounts alone, so no account ever moves. */
  const seats = R.once((lane) => {
    const of = lane.header.accounts.population;
    const groups = lane.header.populations.map((_, p) => [...of.keys()].filter((a) => of[a] === p));
    const filled = groups.filter((group) => group.length);
    const rings = lane.A > 150 ? 3 : lane.A > 50 ? 2 : 1;
    const gap = filled.length > 1 ? 0.06 : 0;
    const free = 2 * Math.PI - gap * filled.length;
    const at = { x: new Float32Array(lane.A), y: new Float32Array(lane.A), arcs: [] };
    let from = -Math.PI / 2;
    for (const group of filled) {
      const span = (free * group.length) / lane.A;
      const along = Math.ceil(group.length / rings);
      group.forEach((a, k) => {
        const angle = from + (span * (Math.floor(k / rings) + 0.5)) / along;
        at.x[a] = Math.cos(angle) * RINGS[k % rings];
        at.y[a] = Math.sin(angle) * RINGS[k % rings];
      });
      at.arcs.push({ population: of[group[0]], from, to: from + span });
      from += span + gap;
    }
    return at;
  });

  function entries(area) {
    const { lane, theme } = area;
    const health = CLASSES.map(({ heat, label }) => ({
      colour: heat ? theme.fire(heat) : theme.soft,
      label,
      shape: "dot",
    }));
    health.push({ colour: theme.soft, label: "closed out", shape: "ring" });
    const names = seats(lane).arcs.map(({ population }) => ({
      colour: theme.population(population),
      label: lane.header.populations[population],
      shape: "line",
    }));
    return health.concat(names);
  }

  function sampleWords(lane) {
    const total = lane.header.accounts.total;
    if (lane.A >= total) return `all ${page.theme.count(total)} accounts`;
    return `${lane.A} of ${page.theme.count(total)} accounts drawn; dollars are of all`;
  }

  function layout(area) {
    const px = C.size(area);
    const small = px * 0.9;
    const list = entries(area);
    const legend = C.legendHeight(area, list, area.width - px, small);
    const top = px * 1.8;
    const height = area.height - legend - top - px * 0.6;
    const centre = { x: area.width / 2, y: top + height / 2 };
    // Wide, but not so flat that the rings run into each other.
    const radius = { x: Math.min(area.width / 2 - px, height * 1.7), y: height / 2 - px * 0.4 };
    return { px, small, list, legend, centre, radius };
  }

  const accountAt = (lane, place, a) => ({
    x: place.centre.x + seats(lane).x[a] * place.radius.x,
    y: place.centre.y + seats(lane).y[a] * place.radius.y,
  });

  function marketAt(lane, place, m) {
    if (lane.M === 1) return place.centre;
    const angle = -Math.PI / 2 + (2 * Math.PI * (m + (lane.M === 2 ? 0.5 : 0))) / lane.M;
    const ring = lane.M > 4 ? WIDE_MARKET_RING : MARKET_RING;
    return {
      x: place.centre.x + Math.cos(angle) * ring * place.radius.x,
      y: place.centre.y + Math.sin(angle) * ring * place.radius.y,
    };
  }

  const nodeRadius = (lane, place, row, a) =>
    place.px * C.clamp(0.12 + 0.07 * Math.log10(Math.max(1, R.worth(lane, row, a) / 100)), 0.14, 0.46);
  const marketRadius = (lane, place) => place.px * (lane.M > 4 ? 1.1 : 1.5);

  /* Which class of health an account is in; -1: it lies liquidated. */
  function classOf(lane, row, a, struck) {
    if (R.isOut(lane, row, a, struck)) return -1;
    const ratio = R.ratio(lane, R.weakest(lane, row, a));
    const found = CLASSES.findIndex(({ below }) => ratio < below);
    return found < 0 || R.isFlat(lane, row, a) ? CLASSES.length - 1 : found;
  }

  function drawArcs(area, place) {
    const { context, lane, theme } = area;
    for (const { population, from, to } of seats(lane).arcs) {
      context.strokeStyle = theme.population(population);
      context.lineWidth = place.px * 0.22;
      context.beginPath();
      const { centre, radius } = place;
      context.ellipse(centre.x, centre.y, radius.x * 1.025, radius.y * 1.035, 0, from, to);
      context.stroke();
    }
  }

  /* All accounts, one path for each class. */
  function drawAccounts(area, place) {
    const { context, lane, theme, time } = area;
    const row = lane.accountRow(time);
    if (row < 0) return;
    const struck = R.lastStruck(lane, time);
    const paths = Array.from({ length: CLASSES.length + 1 }, () => new Path2D());
    for (let a = 0; a < lane.A; a++) {
      const { x, y } = accountAt(lane, place, a);
      const radius = nodeRadius(lane, place, row, a);
      const path = paths[classOf(lane, row, a, struck) + 1];
      path.moveTo(x + radius, y);
      path.arc(x, y, radius, 0, 2 * Math.PI);
    }
    // The endangered lie on top of the safe.
    for (let c = CLASSES.length - 1; c >= 0; c--) {
      context.fillStyle = CLASSES[c].heat ? theme.fire(CLASSES[c].heat) : theme.soft;
      context.globalAlpha = CLASSES[c].heat ? 1 : 0.65;
      context.fill(paths[c + 1]);
    }
    context.globalAlpha = 1;
    context.strokeStyle = theme.soft;
    context.lineWidth = Math.max(1.2, place.px * 0.1);
    context.stroke(paths[0]);
  }

  /* Struck accounts glow for some steps, joined to the market in which they were sold. */
  function drawStruck(area, place) {
    const { lane, context, theme } = area;
    const { first, end } = R.recent(lane, area.time, GLOW);
    const who = R.struck(lane);
    context.strokeStyle = theme.fire(0.8);
    // Where many fall at once each is drawn fainter, so that the rest is seen through them.
    const faint = C.clamp(60 / (end - first), 0.2, 1);
    for (let i = Math.max(first, end - 300); i < end; i++) {
      if (who[i] < 0) continue;
      const heat = 1 - (area.time - R.ignitions(lane)[i]) / GLOW;
      const at = accountAt(lane, place, who[i]);
      const to = marketAt(lane, place, lane.liqs.market[i]);
      context.globalAlpha = C.clamp(heat, 0.1, 1) * faint;
      context.lineWidth = 1 + heat;
      context.beginPath();
      context.moveTo(at.x, at.y);
      context.lineTo(to.x, to.y);
      context.moveTo(at.x + place.px * 0.6, at.y);
      context.arc(at.x, at.y, place.px * 0.6, 0, 2 * Math.PI);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  /* The dollars passed on from market to market so far, as bent arrows; each way bends to its side. */
  function drawPassed(area, place) {
    const { lane, theme } = area;
    const M = lane.M;
    const sums = R.passedBetween(lane, area.time);
    const most = Math.max(...sums);
    if (!(most > 0)) return;
    const edges = [];
    sums.forEach((usd, k) => {
      if (usd > most * 0.01) edges.push({ from: Math.floor(k / M), to: k % M, usd });
    });
    edges.sort((a, b) => a.usd - b.usd);
    const isAcross = ({ from, to }) => from !== to;
    const arrows = edges.filter(isAcross).slice(-MOST_ARROWS);
    for (const edge of edges.filter((each) => !isAcross(each)).concat(arrows)) {
      const thick = Math.max(1.5, place.px * 0.75 * Math.sqrt(edge.usd / most));
      if (isAcross(edge)) drawArrow(area, place, edge, thick);
      else drawRing(area, place, edge, thick);
    }
    drawSums(area, place, arrows.slice(-(M > 4 ? 2 : MOST_SUMS)).reverse());
  }

  /* The sums of the arrows, each on its arrow where no larger one's lies, or left out. */
  function drawSums(area, place, arrows) {
    const { lane, theme } = area;
    const how = { px: place.small, weight: 600, align: "center", baseline: "middle", halo: true };
    const written = [];
    for (const edge of arrows) {
      const ends = [marketAt(lane, place, edge.from), marketAt(lane, place, edge.to)];
      const { at } = C.bend(...ends, place.px * BEND);
      const words = theme.usd(edge.usd);
      const half = C.wide(area, words, how.px, how.weight) / 2 + place.small * 0.7;
      const isFree = ({ x, y }) =>
        written.every(
          (other) =>
            Math.abs(other.x - x) > other.half + half || Math.abs(other.y - y) > place.small * 1.3,
        );
      const where = ALONG.map(at).find(isFree);
      if (!where) continue;
      written.push({ ...where, half });
      C.write(area, words, where.x, where.y, how);
    }
  }

  function drawArrow(area, place, edge, thick) {
    const { lane, theme, context } = area;
    context.globalAlpha = 0.75;
    C.arrow(area, marketAt(lane, place, edge.from), marketAt(lane, place, edge.to), {
      most: place.px * BEND,
      stop: marketRadius(lane, place) + 2,
      thick,
      head: Math.max(thick * 1.3, place.px * 0.5),
      colour: theme.market(edge.from),
    });
    context.globalAlpha = 1;
  }

  /* What stays in a market is a ring around it. */
  function drawRing(area, place, edge, thick) {
    const { x, y } = marketAt(area.lane, place, edge.from);
    area.context.strokeStyle = area.theme.market(edge.from);
    area.context.globalAlpha = 0.55;
    area.context.lineWidth = thick;
    area.context.beginPath();
    area.context.arc(x, y, marketRadius(area.lane, place) + thick / 2 + 2, 0, 2 * Math.PI);
    area.context.stroke();
    area.context.globalAlpha = 1;
  }

  function drawMarkets(area, place) {
    const { context, lane, theme } = area;
    const radius = marketRadius(lane, place);
    for (let m = 0; m < lane.M; m++) {
      const { x, y } = marketAt(lane, place, m);
      context.fillStyle = theme.market(m);
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
      if (area.selected && area.selected.kind === "market" && area.selected.market === m) {
        context.strokeStyle = theme.ink;
        context.lineWidth = 3;
        context.stroke();
      }
    }
  }

  /* The markets' names lie on top of all else. */
  function drawNames(area, place) {
    const { lane } = area;
    const room = place.radius.x * (lane.M > 4 ? 0.34 : 0.5);
    const how = { px: place.px, weight: 700, align: "center", baseline: "middle", halo: true, room };
    for (let m = 0; m < lane.M; m++) {
      const { x, y } = marketAt(lane, place, m);
      C.write(area, lane.header.markets[m], x, y + marketRadius(lane, place) + place.px * 0.75, how);
    }
  }

  /* From the account that was sold, by the market that it moved, to the account that lost there,
     and on to the market in which that one was liquidated. Accounts that are not drawn are skipped. */
  function stopsOf(area, place, flight) {
    const { lane } = area;
    const who = R.struck(lane);
    const market = lane.liqs.market[flight.child];
    const stops = [marketAt(lane, place, flight.via)];
    if (flight.parent >= 0 && who[flight.parent] >= 0)
      stops.unshift(accountAt(lane, place, who[flight.parent]));
    if (who[flight.child] >= 0) stops.push(accountAt(lane, place, who[flight.child]));
    if (market !== flight.via) stops.push(marketAt(lane, place, market));
    return stops;
  }

  function drawPulses(area, place, kept) {
    const { context, theme } = area;
    kept.flights.update(area);
    for (const flight of kept.flights.list) {
      const stops = stopsOf(area, place, flight);
      if (stops.length < 2) continue;
      const { x, y, from } = page.Flights.at(stops, flight.share);
      const radius = place.px * C.clamp(0.1 * Math.log10(flight.usd + 1) - 0.15, 0.2, 0.5);
      C.line(area, from.x, from.y, x, y, theme.fire(0.7), Math.max(1, radius / 3));
      context.fillStyle = theme.fire(1);
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    }
  }

  /* The chosen account: a ring, and a line to each market it holds, wide for much. */
  function drawChosen(area, place) {
    const { lane, theme, context, selected } = area;
    const a = selected ? R.drawnIndex(lane).get(selected.account) : undefined;
    const row = lane.accountRow(area.time);
    if (a === undefined || row < 0) return;
    const at = accountAt(lane, place, a);
    for (let m = 0; m < lane.M; m++) {
      const lean = R.lean(lane, row, a, m);
      if (!lean) continue;
      const to = marketAt(lane, place, m);
      const thick = place.px * C.clamp(0.12 * Math.abs(lean), 0.12, 0.7);
      C.line(area, at.x, at.y, to.x, to.y, lean > 0 ? theme.long : theme.short, thick);
    }
    context.strokeStyle = theme.ink;
    context.lineWidth = 2.5;
    context.beginPath();
    context.arc(at.x, at.y, place.px * 0.75, 0, 2 * Math.PI);
    context.stroke();
  }

  function draw(area) {
    const { lane } = area;
    if (!lane.rows) {
      C.waiting(area, "Accounts appear with the first step.");
      return;
    }
    C.clear(area);
    const place = layout(area);
    const kept = memoryOf(area);
    drawArcs(area, place);
    drawAccounts(area, place);
    drawStruck(area, place);
    drawPassed(area, place);
    drawChosen(area, place);
    drawMarkets(area, place);
    drawPulses(area, place, kept);
    drawNames(area, place);
    const head = { px: place.small, colour: area.theme.soft, baseline: "top", room: area.width - place.px };
    C.write(area, sampleWords(lane), place.px * 0.5, place.px * 0.3, head);
    const at = { x: place.px * 0.5, y: area.height - place.legend - 2 };
    C.legend(area, place.list, at.x, at.y, area.width - place.px, place.small);
  }

  function pickAccount(area, a) {
    const { lane, time, theme } = area;
    const row = lane.accountRow(time);
    const id = lane.header.accounts.drawn[a];
    const isOut = R.isOut(lane, row, a, R.lastStruck(lane, time));
    const ratio = R.ratio(lane, R.weakest(lane, row, a));
    const held = lane.header.markets
      .map((_, m) => [R.market(lane, m), R.lean(lane, row, a, m)])
      .filter(([, lean]) => lean)
      .map(([name, lean]) => `${lean > 0 ? "long" : "short"} ${name} ${Math.abs(lean).toFixed(1)}×`);
    const state = isOut ? "closed out" : held.length ? `equity ${ratio.toFixed(2)}× maintenance` : "flat";
    const text = [R.accountName(lane, id), theme.usd(R.worth(lane, row, a)), state, ...held].join(", ");
    return { kind: "account", account: id, text };
  }

  function pickMarket(area, m) {
    const { lane, theme } = area;
    const sums = R.passedBetween(lane, area.time);
    let out = 0;
    let into = 0;
    for (let k = 0; k < lane.M; k++) {
      if (k === m) continue;
      out += sums[m * lane.M + k];
      into += sums[k * lane.M + m];
    }
    const own = theme.usd(sums[m * lane.M + m]);
    const words =
      `its losses led to ${theme.usd(out)} liquidated in other markets and ${own} here; ` +
      `losses elsewhere to ${theme.usd(into)} here`;
    return { kind: "market", market: m, text: `${R.market(lane, m)}: ${words}` };
  }

  function pick(area, x, y) {
    const { lane } = area;
    const row = lane.accountRow(area.time);
    if (!lane.rows || row < 0) return null;
    const place = layout(area);
    for (let m = 0; m < lane.M; m++) {
      const at = marketAt(lane, place, m);
      if (Math.hypot(at.x - x, at.y - y) <= marketRadius(lane, place)) return pickMarket(area, m);
    }
    let nearest = -1;
    let least = place.px * 0.9;
    for (let a = 0; a < lane.A; a++) {
      const at = accountAt(lane, place, a);
      const distance = Math.hypot(at.x - x, at.y - y);
      if (distance <= least) [nearest, least] = [a, distance];
    }
    return nearest < 0 ? null : pickAccount(area, nearest);
  }

  /* Left and right go from account to account around the ring, up and down from market to market. */
  function move(area, direction) {
    const { lane, selected } = area;
    if (lane.accountRow(area.time) < 0) return null;
    if (direction === "up" || direction === "down") {
      const at = selected && selected.kind === "market" ? selected.market : -1;
      return pickMarket(area, (at + (direction === "down" ? 1 : -1) + lane.M) % lane.M);
    }
    const drawn = selected ? R.drawnIndex(lane).get(selected.account) : undefined;
    const at = drawn === undefined ? -1 : drawn;
    const to = { left: at - 1, right: at + 1, home: 0, end: lane.A - 1 }[direction];
    return pickAccount(area, (to + lane.A) % lane.A);
  }

  function text(area) {
    const { lane, theme, time } = area;
    const row = lane.accountRow(time);
    if (!lane.rows || row < 0) return "No accounts yet.";
    const struck = R.lastStruck(lane, time);
    let out = 0;
    let near = 0;
    for (let a = 0; a < lane.A; a++) {
      const found = classOf(lane, row, a, struck);
      out += found === -1;
      near += found === 0 || found === 1;
    }
    const sums = R.passedBetween(lane, time);
    let across = 0;
    let within = 0;
    sums.forEach((usd, k) => {
      if (Math.floor(k / lane.M) === k % lane.M) within += usd;
      else across += usd;
    });
    const passed =
      across + within > 0
        ? `of what was liquidated, ${theme.usd(across)} went because of losses in another market, ` +
          `${theme.usd(within)} because of losses in its own`
        : "nothing has been liquidated yet";
    const counts = `${near} hold less than 1.5 times their maintenance margin, ${out} are closed out`;
    return `${R.clock(lane, time)}: ${sampleWords(lane)}: ${counts}; ${passed}.`;
  }

  page.views.push({
    id: "network",
    title: "Network",
    question: "Through whom does a fall in one market reach another?",
    help:
      "Small circles are accounts, by population around the ring; size is equity, colour the health " +
      "of the account's weakest pool (equity over maintenance margin). Large circles are markets. " +
      "Arrows are dollars liquidated so far in one market because of losses in another, rings " +
      "around markets because of losses in their own. Pulses run from an account that was " +
      "liquidated to the market it was sold into, to the account that lost there, and on to the " +
      "market in which that one was liquidated. Liquidations are measured; what caused them is " +
      "attributed: an account's loss, split by market and by what moved the price. Closed out: " +
      "liquidated, and holding nothing since. Choose an account to see what it holds.",
    draw,
    pick,
    move,
    text,
  });
})((window.page = window.page || {}));
