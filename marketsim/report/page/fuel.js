/* What could burn: the dollars that would be liquidated at each price, past and present. */
(function (page) {
  "use strict";

  const C = page.canvas;
  const BINS = 96;
  /* The scale spans so many powers of ten below its top. */
  const DECADES = 3;

  /* USD per 1 % of price in a cell of the heat map. */
  function density(part, i) {
    const height = Math.max(1, part.high[i] - part.low[i]);
    const middle = (part.high[i] + part.low[i]) / 2;
    return part.usd[i] / ((100 * height) / middle);
  }

  /* The top of the heat scale: the power of ten above all that has been seen. */
  const peaks = new WeakMap();
  function top(lane) {
    let peak = peaks.get(lane);
    if (!peak || peak.parts > lane.heat.length) peak = { parts: 0, most: 1 };
    for (; peak.parts < lane.heat.length; peak.parts++) {
      const part = lane.heat[peak.parts];
      for (let i = 0; i < part.usd.length; i++) peak.most = Math.max(peak.most, density(part, i));
    }
    peaks.set(lane, peak);
    return 10 ** Math.ceil(Math.log10(peak.most) - 0.3);
  }

  const level = (value, most) => C.clamp(1 + Math.log10(value / most) / DECADES, 0, 1);

  /* USD per 1 % in each bin of a range of prices, one array for each side. */
  function binned(lane, part, m, [low, high]) {
    const sides = [new Float32Array(BINS), new Float32Array(BINS)];
    const tick = lane.header.tick_size[m];
    const scale = BINS / (high - low);
    for (let i = 0; i < part.usd.length; i++) {
      if (part.market[i] !== m) continue;
      const from = (part.low[i] * tick - low) * scale;
      const to = Math.max((part.high[i] * tick - low) * scale, from + 1e-3);
      const value = density(part, i);
      const end = Math.min(BINS - 1, Math.floor(to));
      for (let b = Math.max(0, Math.floor(from)); b <= end; b++) {
        sides[part.side[i]][b] += value * (Math.min(to, b + 1) - Math.max(from, b));
      }
    }
    return sides;
  }

  function rgb(colour) {
    const parts = /^#(..)(..)(..)$/.exec(colour);
    return parts ? parts.slice(1).map((each) => parseInt(each, 16)) : [128, 128, 128];
  }

  /* The heat of the past as pixels: a column for each time it was taken, a row for each bin. */
  function paintHeat(area, parts, m, edges, context) {
    const { lane, theme } = area;
    const image = context.createImageData(parts.length, BINS);
    const colours = [rgb(theme.long), rgb(theme.short)];
    const most = top(lane);
    parts.forEach((part, column) => {
      const sides = binned(lane, part, m, edges);
      for (let b = 0; b < BINS; b++) {
        const side = sides[1][b] > sides[0][b] ? 1 : 0;
        if (!sides[side][b]) continue;
        const at = 4 * ((BINS - 1 - b) * parts.length + column);
        for (let c = 0; c < 3; c++) image.data[at + c] = colours[side][c];
        image.data[at + 3] = 20 + 190 * level(sides[side][b], most);
      }
    });
    context.putImageData(image, 0, 0);
  }

  /* The heat maps taken in the window, the one that held at its beginning included. */
  function inSight(lane, time, window) {
    let end = lane.heat.length;
    while (end && lane.heat[end - 1].step > time) end--;
    let first = end;
    while (first && lane.heat[first - 1].step > time - window) first--;
    return lane.heat.slice(Math.max(0, first - 1), end);
  }

  function drawPast(area, panel, kept, m, edges, parts, toX) {
    if (!parts.length) return;
    // The layer covers a rounded range, so that it is painted again seldom while the range eases.
    const unit = 2 ** Math.ceil(Math.log2((edges[1] - edges[0]) / 8));
    const cover = [Math.floor(edges[0] / unit) * unit, Math.ceil(edges[1] / unit) * unit];
    const key = [parts[0].step, parts.length, cover, area.theme.version, area.lane.heat.length].join();
    // After a rewind the lane's list of maps is another one.
    if (!kept[m] || kept[m].source !== area.lane.heat) kept[m] = { source: area.lane.heat };
    const paint = (context) => paintHeat(area, parts, m, cover, context);
    const image = C.layer(kept[m], key, parts.length, BINS, 1, paint);
    const span = edges[1] - edges[0];
    const y = panel.y + (panel.height * (edges[1] - cover[1])) / span;
    const height = (panel.height * (cover[1] - cover[0])) / span;
    const context = area.context;
    context.imageSmoothingEnabled = false;
    parts.forEach((part, column) => {
      const next = column + 1 < parts.length ? parts[column + 1].step : area.time;
      const x = Math.round(toX(part.step));
      context.drawImage(image, column, 0, 1, BINS, x, y, Math.round(toX(next)) - x, height);
    });
  }

  /* What waits at each price now: bars to the right of the present, longer for more dollars. */
  function drawAhead(area, panel, m, edges, part, x) {
    if (!part) return;
    const sides = binned(area.lane, part, m, edges);
    const height = panel.height / BINS;
    const most = top(area.lane);
    sides.forEach((bins, side) => {
      area.context.fillStyle = area.theme.side(side);
      area.context.beginPath();
      for (let b = 0; b < BINS; b++) {
        if (!bins[b]) continue;
        const long = Math.max(1.5, level(bins[b], most) * (panel.x + panel.width - x - 2));
        area.context.rect(x + 2, panel.y + panel.height - (b + 1) * height, long, height + 0.3);
      }
      area.context.fill();
    });
  }

  /* USD that would be liquidated within a share of the price, longs below and shorts above. */
  function within(area, m, share) {
    const part = area.lane.heatAt(area.time);
    const sums = [0, 0];
    if (!part) return sums;
    const mark = area.lane.value("mark", area.lane.row(area.time), m);
    for (let i = 0; i < part.usd.length; i++) {
      const middle = (part.low[i] + part.high[i]) / 2;
      if (part.market[i] === m && Math.abs(middle / mark - 1) <= share) sums[part.side[i]] += part.usd[i];
    }
    return sums;
  }

  /* The ends of the colour scale in words, USD per 1 % of price. */
  const scale = (lane) => [top(lane) / 10 ** DECADES, top(lane)].map(page.theme.usd);

  page.fuel = { inSight, drawPast, drawAhead, within, scale };
})((window.page = window.page || {}));
