/* A cascade as a tree: generation down, time to the right; choose one: who pushed whom. */
(function (page) {
  "use strict";

  const C = page.canvas;
  const R = page.readings;

  /* Cascades seen so far, kept while no further liquidation has caught fire. */
  const seen = new WeakMap();
  function cascadesOf(area) {
    const { lane, time } = area;
    const key = `${lane.version} ${R.burnt(lane, time)}`;
    const kept = seen.get(lane);
    if (kept && kept.key === key) return kept.list;
    const list = R.cascades(lane, time);
    list.forEach((each) => (each.byRow = new Map(each.rows.map((row, k) => [row, k]))));
    seen.set(lane, { key, list });
    return list;
  }

  /* Row of the liquidation that is chosen, -1 where none is or it is still to come. */
  function chosenRow(area) {
    const { lane, selected, time } = area;
    if (!selected || selected.kind !== "liquidation") return -1;
    const row = lane.liqRow(selected.id);
    return row >= 0 && R.ignitions(lane)[row] <= time ? row : -1;
  }

  /* The place in the list of the cascade that is shown: the chosen one, else the largest. */
  function shownPlace(area, list) {
    const { lane, selected } = area;
    if (!selected) return 0;
    const row = chosenRow(area);
    const id = row >= 0 ? lane.liqs.cascade[row] : selected.kind === "cascade" ? selected.cascade : -1;
    return Math.max(
      0,
      list.findIndex((each) => each.id === id),
    );
  }

  function layout(area) {
    const px = C.size(area);
    const isNarrow = area.width < 480;
    const lines = isNarrow ? 7 : 4;
    const head = px * 2.4;
    const words = { y: area.height - lines * px * 1.32 - px * 0.4, lines };
    const legend = px * 1.5;
    const left = px * 4.1;
    const box = { x: left, y: head + px * 0.4, width: area.width - left - px };
    box.height = words.y - legend - px * 1.9 - box.y;
    const arrow = Math.max(26, px * 2);
    return { px, isNarrow, head, words, legend, box, arrow };
  }

  /* What the axes span: whole powers of two of steps, so that a growing cascade seldom rescales. */
  function spans(area, each) {
    const times = R.ignitions(area.lane);
    const first = area.lane.liqs.step[each.rows[0]] - 1;
    const last = times[each.rows[each.rows.length - 1]];
    const steps = 2 ** Math.ceil(Math.log2(Math.max(1, last - first + 0.05)));
    const generations = Math.max(3, each.depth + (each.depth % 2));
    let most = 0;
    for (const row of each.rows) most = Math.max(most, area.lane.liqs.usd[row]);
    return { first, steps, generations, most: 10 ** (Math.ceil(Math.log10(Math.max(1, most)) * 2) / 2) };
  }

  /* Where a liquidation stands. Those of a generation are spread over its band, always the same. */
  function nodeAt(area, place, span, row) {
    const { lane } = area;
    const { box, px } = place;
    const band = box.height / span.generations;
    const spread = ((lane.liqs.id[row] * 0.618034) % 1) - 0.5;
    const largest = Math.min(px * 1.15, band * 0.75);
    const radius = Math.max(1.6, largest * Math.sqrt(lane.liqs.usd[row] / span.most));
    return {
      x: box.x + ((R.ignitions(lane)[row] - span.first) / span.steps) * box.width,
      y: box.y + (lane.liqs.generation[row] + 0.5 + spread * 0.7) * band,
      radius,
    };
  }

  function drawAxes(area, place, span) {
    const { theme } = area;
    const { px, box } = place;
    const band = box.height / span.generations;
    const every = Math.ceil((px * 1.1) / band);
    for (let g = 0; g < span.generations; g++) {
      if (g) C.line(area, box.x - px, box.y + g * band, box.x + box.width, box.y + g * band, theme.grid, 1);
      if (g % every) continue;
      const how = { px, colour: theme.soft, align: "right", baseline: "middle" };
      C.write(area, String(g), box.x - px * 1.5, box.y + (g + 0.5) * band, how);
    }
    area.context.save();
    area.context.translate(px * 0.75, box.y + box.height / 2);
    area.context.rotate(-Math.PI / 2);
    const side = { px: px * 0.9, colour: theme.soft, align: "center", baseline: "middle", room: box.height };
    C.write(area, "generation", 0, 0, side);
    area.context.restore();
    C.timeAxis(area, box, span.first, span.first + span.steps, px * 0.9);
  }

  /* A line from each liquidation to the one that pushed it most, in the colour of that one's market. */
  function drawLinks(area, place, span, each) {
    const { lane, theme, context } = area;
    const paths = lane.header.markets.map(() => new Path2D());
    const heaviest = R.heaviest(lane);
    for (const row of each.rows) {
      const parent = heaviest[row];
      if (parent < 0) continue;
      const [a, b] = [nodeAt(area, place, span, parent), nodeAt(area, place, span, row)];
      const path = paths[lane.liqs.market[parent]];
      path.moveTo(a.x, a.y);
      path.lineTo(b.x, b.y);
    }
    context.globalAlpha = each.rows.length > 400 ? 0.3 : 0.45;
    context.lineWidth = Math.max(1, place.px * 0.06);
    paths.forEach((path, m) => {
      context.strokeStyle = theme.market(m);
      context.stroke(path);
    });
    context.globalAlpha = 1;
  }

  function drawNodes(area, place, span, each) {
    const { lane, theme, context } = area;
    const paths = lane.header.markets.map(() => new Path2D());
    for (const row of each.rows) {
      const { x, y, radius } = nodeAt(area, place, span, row);
      const path = paths[lane.liqs.market[row]];
      path.moveTo(x + radius, y);
      path.arc(x, y, radius, 0, 2 * Math.PI);
    }
    context.globalAlpha = 0.85;
    paths.forEach((path, m) => {
      context.fillStyle = theme.market(m);
      context.fill(path);
    });
    context.globalAlpha = 1;
  }

  /* All that is known of a cascade's picture is painted once and kept until it grows. */
  const memoryOf = C.memory(() => ({ layer: {} }));
  function drawTree(area, place, span, each) {
    const scale = area.context.getTransform().a || 1;
    const names = [each.id, each.rows.length, area.lane.version, area.width, area.height, scale];
    const key = [...names, area.theme.scheme, area.theme.version].join();
    const image = C.layer(memoryOf(area).layer, key, area.width, area.height, scale, (context) => {
      const inner = { ...area, context };
      drawLinks(inner, place, span, each);
      drawNodes(inner, place, span, each);
    });
    area.context.drawImage(image, 0, 0, area.width, area.height);
  }

  /* The chosen liquidation: who pushed it, as wide as they pushed, on to the first of them all. */
  function drawChosen(area, place, span, row) {
    const { lane, theme, context } = area;
    const at = nodeAt(area, place, span, row);
    for (const id of lane.children(lane.liqs.id[row])) {
      const child = lane.liqRow(id);
      if (child < 0 || R.ignitions(lane)[child] > area.time) continue;
      const to = nodeAt(area, place, span, child);
      C.line(area, at.x, at.y, to.x, to.y, theme.soft, 1.5);
    }
    for (const tie of R.pushers(lane, row)) {
      const parent = tie.parent < 0 ? -1 : lane.liqRow(tie.parent);
      if (parent < 0) continue;
      const from = nodeAt(area, place, span, parent);
      C.line(area, from.x, from.y, at.x, at.y, theme.ink, Math.max(1, place.px * 0.5 * tie.weight));
    }
    const heaviest = R.heaviest(lane);
    // A parent comes before its child, so this ends.
    for (let parent = heaviest[row]; parent >= 0; parent = heaviest[parent]) {
      const { x, y, radius } = nodeAt(area, place, span, parent);
      ring(area, x, y, radius + 2, theme.ink, 1.5);
      if (heaviest[parent] < 0) break;
      const up = nodeAt(area, place, span, heaviest[parent]);
      C.line(area, up.x, up.y, x, y, theme.ink, 1.5, [4, 3]);
    }
    ring(area, at.x, at.y, at.radius + place.px * 0.35, theme.ink, 3);
    context.globalAlpha = 1;
  }

  function ring(area, x, y, radius, colour, thick) {
    area.context.strokeStyle = colour;
    area.context.lineWidth = thick;
    area.context.beginPath();
    area.context.arc(x, y, radius, 0, 2 * Math.PI);
    area.context.stroke();
  }

  function drawWords(area, place, words) {
    const { px, words: at } = place;
    const lines = C.wrap(area, words, area.width - px * 1.2, px);
    if (lines.length > at.lines) {
      const rest = lines.slice(at.lines - 1).join(" ");
      lines.splice(at.lines - 1, lines.length, C.fit(area, rest, area.width - px * 1.2, px));
    }
    lines.forEach((line, i) =>
      C.write(area, line, px * 0.6, at.y + (i + 0.8) * px * 1.32, { px, baseline: "middle" }),
    );
  }

  function drawHead(area, place, list, at) {
    const { px, head, arrow } = place;
    const { theme } = area;
    const how = { px: px * 1.2, weight: 700, align: "center", baseline: "middle" };
    const dim = (isThere) => (isThere ? theme.ink : theme.grid);
    C.write(area, "◀", arrow / 2, head / 2, { ...how, colour: dim(at > 0) });
    C.write(area, "▶", area.width - arrow / 2, head / 2, { ...how, colour: dim(at < list.length - 1) });
    const each = list[at];
    const count = list.length === 1 ? "the only cascade" : `cascade ${at + 1} of ${list.length} by size`;
    const words = `${count}: ${theme.usd(each.usd)}`;
    C.write(area, words, area.width / 2, head / 2, { ...how, px, room: area.width - 2 * arrow - px });
  }

  function drawLegend(area, place, span) {
    const { px, words, legend } = place;
    const { lane, theme } = area;
    const entries = lane.header.markets.map((name, m) => ({
      colour: theme.market(m),
      label: name,
      shape: "dot",
    }));
    entries.push({ colour: theme.soft, label: `largest circle ${theme.usd(span.most)}`, shape: "ring" });
    area.context.save();
    area.context.beginPath();
    area.context.rect(0, words.y - legend - px * 0.2, area.width, legend);
    area.context.clip();
    // One row: where names are many or long, each is cut to its share of the row.
    const each = (area.width - px) / entries.length;
    const need = (entry) => C.wide(area, C.clean(entry.label), px * 0.9) + px * 2.1;
    const isTight = entries.reduce((sum, entry) => sum + need(entry), 0) > area.width - px;
    entries.forEach((entry) => {
      if (isTight) entry.label = C.fit(area, entry.label, each - px * 2, px * 0.9);
    });
    C.legend(
      area,
      isTight ? entries.slice(0, -1) : entries,
      px * 0.5,
      words.y - legend,
      area.width - px,
      px * 0.9,
    );
    area.context.restore();
  }

  function draw(area) {
    const list = area.lane.liqs.count ? cascadesOf(area) : [];
    if (!list.length) {
      C.waiting(area, "No cascade yet: nobody has been liquidated because of others.");
      return;
    }
    C.clear(area);
    const place = layout(area);
    const at = shownPlace(area, list);
    const each = list[at];
    const span = spans(area, each);
    const row = chosenRow(area);
    drawHead(area, place, list, at);
    drawAxes(area, place, span);
    drawTree(area, place, span, each);
    if (row >= 0 && each.byRow.has(row)) drawChosen(area, place, span, row);
    drawLegend(area, place, span);
    drawWords(area, place, row >= 0 ? R.whoPushedWhom(area, row) : R.describeCascade(area, each));
  }

  const pickCascade = (area, list, at) => ({
    kind: "cascade",
    cascade: list[at].id,
    text: `cascade ${at + 1} of ${list.length}: ${R.describeCascade(area, list[at])}`,
  });

  /* An arrow of the head, or the liquidation under the pointer. */
  function pick(area, x, y) {
    const { lane } = area;
    const list = lane.liqs.count ? cascadesOf(area) : [];
    if (!list.length) return null;
    const place = layout(area);
    const at = shownPlace(area, list);
    if (y < place.head && x < place.arrow && at > 0) return pickCascade(area, list, at - 1);
    if (y < place.head && x > area.width - place.arrow && at < list.length - 1) {
      return pickCascade(area, list, at + 1);
    }
    const span = spans(area, list[at]);
    let nearest = -1;
    let least = Infinity;
    for (const row of list[at].rows) {
      const node = nodeAt(area, place, span, row);
      const distance = Math.hypot(node.x - x, node.y - y) - node.radius;
      if (distance < Math.min(least, place.px * 0.6)) [nearest, least] = [row, distance];
    }
    return nearest < 0 ? null : { ...R.pickLiquidation(lane, nearest), text: R.whoPushedWhom(area, nearest) };
  }

  /* Left and right: in time; up: who pushed it most; down: whom it pushed most; home, end: cascades. */
  function move(area, direction) {
    const { lane } = area;
    const list = lane.liqs.count ? cascadesOf(area) : [];
    if (!list.length) return null;
    const at = shownPlace(area, list);
    if (direction === "home") return pickCascade(area, list, Math.max(0, at - 1));
    if (direction === "end") return pickCascade(area, list, Math.min(list.length - 1, at + 1));
    const { rows, byRow } = list[at];
    const row = chosenRow(area);
    let to = rows[0];
    if (row >= 0 && byRow.has(row)) to = neighbour(area, rows, byRow.get(row), direction);
    return to < 0 ? null : { ...R.pickLiquidation(lane, to), text: R.whoPushedWhom(area, to) };
  }

  function neighbour(area, rows, k, direction) {
    const { lane } = area;
    if (direction === "left") return rows[Math.max(0, k - 1)];
    if (direction === "right") return rows[Math.min(rows.length - 1, k + 1)];
    if (direction === "up") return R.heaviest(lane)[rows[k]];
    const seenRows = lane.children(lane.liqs.id[rows[k]]).map((id) => lane.liqRow(id));
    const children = seenRows.filter((row) => row >= 0 && R.ignitions(lane)[row] <= area.time);
    return children.reduce(
      (best, row) => (best < 0 || lane.liqs.usd[row] > lane.liqs.usd[best] ? row : best),
      -1,
    );
  }

  function text(area) {
    const list = area.lane.liqs.count ? cascadesOf(area) : [];
    if (!list.length) return `${R.clock(area.lane, area.time)}: no cascade yet.`;
    const row = chosenRow(area);
    if (row >= 0) return R.whoPushedWhom(area, row);
    const at = shownPlace(area, list);
    return `Cascade ${at + 1} of ${list.length} by size: ${R.describeCascade(area, list[at])}`;
  }

  page.views.push({
    id: "tree",
    title: "Cascade",
    question: "Who pushed whom?",
    help:
      "Each circle is a liquidation: its area is dollars, its colour the market, to the right is " +
      "time, down is the generation: how many liquidations stand between it and the news. A line " +
      "leads to the one that pushed it most. Choose a circle: all who pushed it, with their share. " +
      "Keys: left and right in time, up to the one that pushed it, down to one that it pushed, home " +
      "and end to another cascade. Liquidations are measured; the shares are attributed: an " +
      "account's loss since it was last safe, split by what moved the price.",
    draw,
    pick,
    move,
    text,
  });
})((window.page = window.page || {}));
