/* Pools as vessels: what is in them is equity, the line is what maintenance asks for. */
(function (page) {
  "use strict";

  const C = page.canvas;
  const R = page.readings;
  /* The line's height in a full vessel, and the equity over maintenance that fills it. */
  const LINE = 0.24;
  const FULL = 8;
  /* What is left in a pool that is short of its line and not yet liquidated. */
  const SHORT = 0.12;
  /* Below this many times its maintenance a pool is drawn hot. */
  const HOT = 1.5;
  /* Steps for which what was spilled stays bright. */
  const SPILL = 10;
  const MOST_SHOWN = 9;

  /* The populations with the most endangered accounts, at most so many, each with its
     drawn accounts by danger; in the order of the run's list. */
  function groups(lane, most) {
    const found = new Map();
    for (const a of R.endangered(lane)) page.push(found, R.population(lane, a), a);
    return [...found]
      .slice(0, most)
      .sort((one, other) => one[0] - other[0])
      .map(([population, accounts]) => ({ population, accounts }));
  }

  function entries(area) {
    const { theme } = area;
    return [
      { colour: theme.ink, label: "maintenance margin", shape: "line" },
      { colour: theme.soft, label: `level: equity (full: ${FULL}×)` },
      { colour: theme.fire(0.65), label: `under ${HOT}×` },
      { colour: theme.long, label: "long", shape: "up" },
      { colour: theme.short, label: "short", shape: "down" },
    ];
  }

  /* Columns and rows of groups: two columns where there is width, and rows high enough to read. */
  function gridFor(lane, width, height, px) {
    const columns = width > px * 34 ? 2 : 1;
    const rows = Math.max(1, Math.floor(height / (px * 7)));
    const count = Math.min(new Set(lane.header.accounts.population).size, columns * rows);
    return { columns: Math.min(columns, count), rows: Math.ceil(count / Math.min(columns, count)), count };
  }

  /* Where each vessel stands: [{a, x, y, width, height}] in groups. */
  function layout(area) {
    const { lane } = area;
    const px = C.size(area);
    const small = px * 0.9;
    const list = entries(area);
    const legend = C.legendHeight(area, list, area.width - px, small);
    const top = px * 1.6;
    const height = area.height - legend - top;
    const { columns, rows, count: mostGroups } = gridFor(lane, area.width, height, px);
    const all = groups(lane, mostGroups);
    const cell = { width: area.width / columns, height: height / rows };
    const slot = Math.max(px * 3.1, lane.M * Math.max(6, px * 0.5) + px * 0.9);
    const count = C.clamp(Math.floor((cell.width - px) / slot), 1, MOST_SHOWN);
    all.forEach((group, g) => {
      const x = (g % columns) * cell.width + px * 0.5;
      const y = top + Math.floor(g / columns) * cell.height;
      group.x = x;
      group.y = y;
      group.width = cell.width - px;
      const each = Math.min(group.width / count, slot * 1.7);
      group.vessels = group.accounts.slice(0, count).map((a, k) => ({
        a,
        x: x + k * each,
        y: y + px * 1.7,
        width: each - px * 0.8,
        height: cell.height - px * 3.3,
      }));
    });
    return { px, small, list, legend, groups: all };
  }

  /* Height of what a pool holds, 0 to 1, between two frames. */
  function level(lane, at, a, pool) {
    const height = (row) => {
      const ratio = R.ratio(lane, R.health(lane, row, a, pool));
      if (Number.isNaN(ratio)) return NaN;
      if (ratio < 1) return SHORT;
      return LINE + (1 - LINE) * C.clamp(Math.log2(ratio) / Math.log2(FULL), 0, 1);
    };
    const here = height(at.row);
    const next = at.share ? height(at.row + 1) : here;
    return Number.isNaN(next) ? here : here + (next - here) * at.share;
  }

  /* The account frame at a moment, and how far it is to the next one. */
  function frameAt(lane, time) {
    const row = lane.accountRow(time);
    if (row < 0) return null;
    const { step, count } = lane.accounts;
    const share = row + 1 < count ? (time - step[row]) / (step[row + 1] - step[row]) : 0;
    return { row, share: C.clamp(share, 0, 1) };
  }

  /* The glasses of an account: one for all markets that share the main pool, one for each other. */
  function glassesOf(lane, row, a) {
    const own = [];
    const shared = [];
    for (let m = 0; m < lane.M; m++) {
      (R.health(lane, row, a, 1 + m) === R.NO_POOL ? shared : own).push(m);
    }
    const glasses = own.map((m) => ({ pool: 1 + m, markets: [m] }));
    return shared.length ? [{ pool: 0, markets: shared }, ...glasses] : glasses;
  }

  /* Each glass in its share of the account's width. */
  function placed(lane, vessel, row) {
    const glasses = glassesOf(lane, row, vessel.a);
    const unit = vessel.width / lane.M;
    let x = vessel.x;
    return glasses.map((glass) => {
      const width = unit * glass.markets.length;
      const gap = glasses.length > 1 ? Math.min(2, width * 0.12) : 0;
      const at = { ...glass, x: x + gap, y: vessel.y, width: width - 2 * gap, height: vessel.height };
      x += width;
      return at;
    });
  }

  /* One glass with what is in it. */
  function drawGlass(area, glass, at, a, isFlat) {
    const { context, theme, lane } = area;
    const { x, y, width, height } = glass;
    const fill = isFlat ? 0 : level(lane, at, a, glass.pool);
    const ratio = R.ratio(lane, R.health(lane, at.row, a, glass.pool));
    if (fill > 0) {
      const isHot = ratio < HOT;
      context.fillStyle = isHot
        ? theme.fire(ratio < 1.05 ? 0.95 : 0.65)
        : theme.population(R.population(lane, a));
      context.globalAlpha = isHot ? 1 : 0.6;
      context.fillRect(x, y + height * (1 - fill), width, height * fill);
      context.globalAlpha = 1;
    }
    context.strokeStyle = theme.soft;
    context.lineWidth = Math.max(1.5, C.size(area) * 0.1);
    context.setLineDash(isFlat ? [2, 3] : []);
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x, y + height);
    context.lineTo(x + width, y + height);
    context.lineTo(x + width, y);
    context.stroke();
    context.setLineDash([]);
  }

  /* A broken glass: shards, and what it held beneath it; bright while it is new. */
  function drawBroken(area, glass, ago) {
    const { context, theme } = area;
    const { x, y, width, height } = glass;
    const fresh = C.clamp(1 - ago / SPILL, 0, 1);
    const floor = y + height;
    context.fillStyle = fresh ? theme.fire(0.45 + 0.5 * fresh) : theme.soft;
    context.globalAlpha = fresh ? 1 : 0.5;
    context.beginPath();
    context.ellipse(x + width / 2, floor, width * 0.62, Math.max(2, height * 0.045), 0, 0, 2 * Math.PI);
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = fresh ? theme.fire(0.8) : theme.soft;
    context.lineWidth = Math.max(1.5, C.size(area) * 0.1);
    context.beginPath();
    context.moveTo(x, floor - height * 0.3);
    context.lineTo(x + width * 0.12, floor - height * 0.12);
    context.lineTo(x, floor);
    context.lineTo(x + width, floor);
    context.lineTo(x + width * 0.9, floor - height * 0.18);
    context.lineTo(x + width, floor - height * 0.42);
    context.stroke();
  }

  /* Below each market's part of a glass: which way the account leans there. */
  function drawLeans(area, glass, row, a, px) {
    const { context, theme, lane } = area;
    const unit = glass.width / glass.markets.length;
    const size = Math.min(unit * 0.4, px * 0.4);
    glass.markets.forEach((m, k) => {
      const lean = R.lean(lane, row, a, m);
      if (!lean) return;
      const x = glass.x + (k + 0.5) * unit;
      const y = glass.y + glass.height + px * 0.55;
      context.fillStyle = lean > 0 ? theme.long : theme.short;
      C.triangle(area, x, y, size, lean > 0);
    });
  }

  function drawVessel(area, place, vessel, at, struck) {
    const { lane, theme, context, time } = area;
    const { a } = vessel;
    for (const glass of placed(lane, vessel, at.row)) {
      const isFlat = glass.markets.every((m) => !R.lean(lane, at.row, a, m));
      const breaking = R.breaking(lane, at.row, a, glass.markets, struck);
      if (breaking >= 0) drawBroken(area, glass, time - R.ignitions(lane)[breaking]);
      else drawGlass(area, glass, at, a, isFlat);
      drawLeans(area, glass, at.row, a, place.px);
    }
    if (area.selected && area.selected.account === lane.header.accounts.drawn[a]) {
      context.strokeStyle = theme.ink;
      context.lineWidth = 3;
      const room = place.px * 0.3;
      context.strokeRect(
        vessel.x - room,
        vessel.y - room,
        vessel.width + 2 * room,
        vessel.height + place.px * 1.3,
      );
    }
  }

  const isBroken = (lane, row, a, struck) =>
    glassesOf(lane, row, a).some(({ markets }) => R.breaking(lane, row, a, markets, struck) >= 0);

  /* How many drawn accounts of a population have a broken pool. */
  const brokenIn = (area, group, row, struck) =>
    group.accounts.filter((a) => isBroken(area.lane, row, a, struck)).length;

  function drawGroup(area, place, group, at, struck) {
    const { theme, lane } = area;
    const { px } = place;
    const broken = brokenIn(area, group, at.row, struck);
    const drawn = group.accounts.length;
    const words = `${theme.count(broken)} of ${theme.count(drawn)} broken`;
    const room = group.width - C.wide(area, words, place.small) - px;
    const how = { px, weight: 700, colour: theme.ink, room };
    const x = group.x + px * 0.9;
    area.context.fillStyle = theme.population(group.population);
    area.context.fillRect(group.x, group.y + px * 0.35, px * 0.6, px * 0.8);
    const name = lane.header.populations[group.population];
    C.write(area, name, x, group.y + px * 1.1, { ...how, room: room - px * 0.9 });
    const end = { px: place.small, align: "right", colour: broken ? theme.ink : theme.soft };
    C.write(area, words, group.x + group.width, group.y + px * 1.1, end);
    for (const vessel of group.vessels) drawVessel(area, place, vessel, at, struck);
    const last = group.vessels[group.vessels.length - 1];
    const y = last.y + last.height * (1 - LINE);
    C.line(area, group.x - 2, y, last.x + last.width + px * 0.3, y, theme.ink, px * 0.14);
  }

  function draw(area) {
    const { lane, theme } = area;
    const at = frameAt(lane, area.time);
    if (!at) {
      C.waiting(area, "Pools appear with the first accounts recorded.");
      return;
    }
    C.clear(area);
    const place = layout(area);
    const struck = R.lastStruck(lane, area.time);
    for (const group of place.groups) drawGroup(area, place, group, at, struck);
    const said = { px: place.small, colour: theme.soft, baseline: "top", room: area.width - place.px };
    C.write(area, sampleWords(area, place), place.px * 0.5, place.px * 0.3, said);
    C.legend(
      area,
      place.list,
      place.px * 0.5,
      area.height - place.legend,
      area.width - place.px,
      place.small,
    );
  }

  function sampleWords(area, place) {
    const { lane, theme } = area;
    const shown = place.groups.reduce((sum, group) => sum + group.vessels.length, 0);
    const total = theme.count(lane.header.accounts.total);
    return `the ${shown} most endangered of ${lane.A} drawn, of ${total} accounts`;
  }

  function pickVessel(area, vessel) {
    const { lane, theme, time } = area;
    const { a } = vessel;
    const { row } = frameAt(lane, time);
    const id = lane.header.accounts.drawn[a];
    const struck = R.lastStruck(lane, time);
    const pools = glassesOf(lane, row, a)
      .filter((glass) => glass.markets.some((m) => R.lean(lane, row, a, m)))
      .map((glass) => {
        const ratio = R.ratio(lane, R.health(lane, row, a, glass.pool));
        const names = glass.markets.filter((m) => R.lean(lane, row, a, m)).map((m) => R.market(lane, m));
        return `${names.join(" + ")} ${ratio < 1 ? "short of maintenance" : `${ratio.toFixed(2)}× maintenance`}`;
      });
    if (isBroken(lane, row, a, struck)) pools.unshift("a pool broken by liquidation");
    const state = pools.length ? pools.join("; ") : "holds nothing";
    const text = `${R.accountName(lane, id)}, ${theme.usd(R.worth(lane, row, a))}: ${state}`;
    return { kind: "account", account: id, text };
  }

  function pick(area, x, y) {
    if (!frameAt(area.lane, area.time)) return null;
    const place = layout(area);
    for (const group of place.groups) {
      for (const vessel of group.vessels) {
        const isIn = x >= vessel.x - 3 && x <= vessel.x + vessel.width + 3;
        if (isIn && y >= vessel.y && y <= vessel.y + vessel.height + place.px * 1.2)
          return pickVessel(area, vessel);
      }
    }
    return null;
  }

  /* Left and right go from vessel to vessel, up and down from population to population. */
  function move(area, direction) {
    if (!frameAt(area.lane, area.time)) return null;
    const { groups: all } = layout(area);
    const flat = all.flatMap((group, g) => group.vessels.map((vessel, k) => ({ vessel, g, k })));
    if (!flat.length) return null;
    const drawn = area.selected ? R.drawnIndex(area.lane).get(area.selected.account) : undefined;
    const now = flat.findIndex(({ vessel }) => vessel.a === drawn);
    const { g, k } = flat[Math.max(0, now)];
    const row = { up: g - 1, down: g + 1 }[direction];
    if (row !== undefined && now >= 0) {
      const { vessels } = all[(row + all.length) % all.length];
      return pickVessel(area, vessels[Math.min(k, vessels.length - 1)]);
    }
    const to = { left: now - 1, right: now + 1, home: 0, end: flat.length - 1 }[direction] ?? 0;
    return pickVessel(area, flat[(to + flat.length) % flat.length].vessel);
  }

  function text(area) {
    const { lane, time } = area;
    const at = frameAt(lane, time);
    if (!at) return "No pools yet.";
    const struck = R.lastStruck(lane, time);
    const parts = groups(lane, Infinity).map((group) => {
      const name = page.canvas.clean(lane.header.populations[group.population]);
      return `${name} ${brokenIn(area, group, at.row, struck)} of ${group.accounts.length}`;
    });
    let short = 0;
    for (let a = 0; a < lane.A; a++) short += R.weakest(lane, at.row, a) === 0;
    const broken = `with a pool broken by liquidation: ${parts.join(", ")}`;
    return `${R.clock(lane, time)}: of the accounts drawn, ${broken}; ${short} at or under their line.`;
  }

  page.views.push({
    id: "vessels",
    title: "Pools",
    question: "Whose margin runs out, and what goes down with it?",
    help:
      "A vessel is a pool of margin: the level is its equity, the line its maintenance margin; the " +
      `height above the line counts doublings, ${FULL} times maintenance fills it. Cross margin is ` +
      "one wide vessel that all markets share: a loss in one drains it for all. Isolated margin is " +
      "a small glass for each market: one breaks alone. Triangles show in which markets, and which " +
      "way, an account leans. Dashed: nothing held. Broken and spilled: liquidated, and nothing " +
      "held there since. Shown are the populations, and of each the drawn accounts, of which most " +
      "is liquidated, then those that come nearest to their line, in all that is recorded. " +
      "Measured, at the venue's own margin pass; between two recorded moments levels are drawn in a " +
      "straight line.",
    draw,
    pick,
    move,
    text,
  });
})((window.page = window.page || {}));
