/* Lines over time, drawn by uPlot: what all charts share. */
(function (page) {
  "use strict";

  const LARGE = 700; // CSS pixels: wide enough for larger type
  const MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 480, 720, 1440, 2880, 7200, 14400, 43200];

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
      const rows = rowsShown(
        table,
        context.span[0],
        Math.min(context.span[1], context.time),
        context.width,
        this.spec.key(context),
      );
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
      const px = context.small ? 11 : context.width > LARGE ? 16 : 13;
      const font = theme.font(px);
      const grid = { stroke: theme.grid, width: 1 };
      return {
        width: context.width,
        height: context.height,
        padding: [12, names.length > 1 ? 0 : 22, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { setScale: false, x: false, y: false }, points: { show: false } },
        scales,
        axes: [
          {
            stroke: theme.soft,
            font,
            grid,
            ticks: { show: false },
            size: px + 13,
            gap: 6,
            space: 70,
            incrs: MINUTES.map((minutes) => minutes / context.lane.header.step_minutes),
            values: (u, splits) => splits.map((step) => this.sayTime(step)),
          },
          ...names.map((name, i) => ({
            scale: name,
            stroke: theme.soft,
            font,
            side: i ? 1 : 3,
            size: px * 4.4 + 10,
            gap: 4,
            grid: i ? { show: false } : grid,
            ticks: { show: false },
            space: 34,
            values: (u, splits) => splits.map((value) => this.spec.scales[name].say(value, splits)),
          })),
        ],
        series: [
          {},
          ...lines.map((line) => ({
            scale: line.scale || names[0],
            stroke: line.colour,
            width: line.width || 1.5,
            dash: line.dash,
            points: { show: false },
            spanGaps: false,
            paths: line.stepped ? window.uPlot.paths.stepped({ align: 1 }) : undefined,
          })),
        ],
        hooks: {
          drawClear: [(u) => this.paint(u, this.spec.under)],
          draw: [(u) => this.paint(u, this.spec.marks)],
          setCursor: [
            (u) => {
              this.cursorRow = u.cursor.idx;
            },
          ],
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
  const keyOf =
    (name) =>
    ({ lane, market }) =>
    (row) =>
      lane.value(name, row, market);

  page.charts = { Chart, kinds: [], pick, steps, keyOf };
})((window.page = window.page || {}));
