/* What one lane has shown so far: columns over time, events, and where to find a moment in them. */
(function (page) {
  "use strict";

  const EVENT_TABLES = { liqs: "liq_", settlements: "set_", adls: "adl_" };
  const TABLES = ["frames", "accounts", "liqs", "settlements", "adls"];
  const MOST_ACCOUNT_BYTES = 60e6;
  const MOST_HEAT_MAPS = 4000;
  const FRAME_ONLY = new Set(["account_step", "health", "lean", "worth"]);

  /* Columns that grow together; arrays double, so that appending stays cheap. */
  class Table {
    constructor() {
      this.count = 0;
      this.widths = {};
    }

    append(columns, rows) {
      for (const [name, values] of Object.entries(columns)) {
        if (!(name in this.widths)) {
          // A column that comes later than the others is empty before.
          this.widths[name] = rows ? values.length / rows : 0;
          this[name] = new values.constructor((this.count + rows) * this.widths[name]);
        }
        const needed = (this.count + rows) * this.widths[name];
        if (this[name].length < needed) {
          const larger = new values.constructor(Math.max(2 * this[name].length, needed));
          larger.set(this[name]);
          this[name] = larger;
        }
        this[name].set(values, this.count * this.widths[name]);
      }
      this.count += rows;
    }

    /* Keep every second row of the older half. */
    thin() {
      const half = this.count >> 1;
      let kept = 0;
      for (let row = 0; row < this.count; row++) {
        if (row < half && row % 2) continue;
        for (const [name, width] of Object.entries(this.widths)) {
          this[name].copyWithin(kept * width, row * width, (row + 1) * width);
        }
        kept += 1;
      }
      this.count = kept;
    }

    /* Hold the first rows of another table, as a copy. */
    copy(other, rows) {
      this.count = rows;
      this.widths = { ...other.widths };
      for (const [name, width] of Object.entries(other.widths))
        this[name] = other[name].slice(0, rows * width);
    }
  }

  /* How many of the first `count` values of a sorted array are below `value`. */
  function below(sorted, count, value) {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  const atOrBefore = (table, step) =>
    table.count ? Math.max(0, below(table.step, table.count, step + 1e-9) - 1) : -1;

  class Store {
    constructor(header) {
      this.header = header;
      this.M = header.markets.length;
      this.A = header.accounts ? header.accounts.drawn.length : 0;
      this.version = 0;
      this.statement = null; // the last account looked into, as the server spelled it out
      this.clear();
    }

    clear() {
      for (const name of TABLES) this[name] = new Table();
      this.heat = [];
      this.tieRows = { child: [], parent: [], weight: [], via: [] };
      this.byChild = new Map();
      this.byParent = new Map();
      this.byId = new Map();
      this.version += 1;
    }

    get rows() {
      return this.frames.count;
    }

    get firstStep() {
      return this.rows ? this.frames.step[0] : 0;
    }

    get lastStep() {
      return this.rows ? this.frames.step[this.rows - 1] : 0;
    }

    /* Take a "frames" message. One that begins in what is held replaces it from there. */
    append(message) {
      const columns = message.columns;
      const steps = columns.step || [];
      if (steps.length && this.rows && steps[0] <= this.lastStep) this.cut(steps[0]);
      this.appendFrames(columns, steps.length);
      this.appendAccounts(columns);
      for (const [name, prefix] of Object.entries(EVENT_TABLES)) this.appendEvents(name, prefix, columns);
      this.appendTies(columns);
      this.appendHeat(columns);
      this.version += 1;
    }

    appendFrames(columns, rows) {
      const own = {};
      for (const [name, values] of Object.entries(columns)) {
        const isEvent = /^(liq|tie|set|adl|heat)_/.test(name);
        if (!isEvent && !FRAME_ONLY.has(name)) own[name] = values;
      }
      if (rows) this.frames.append(own, rows);
    }

    appendAccounts(columns) {
      const steps = columns.account_step;
      if (!steps || !steps.length) return;
      const { health, lean, worth } = columns;
      this.accounts.append({ step: steps, health, lean, worth }, steps.length);
      // A market may run for hours: of its far past fewer frames are kept.
      const bytes = this.A * (3 + 2 * this.M);
      if (this.accounts.count * bytes > MOST_ACCOUNT_BYTES) this.accounts.thin();
    }

    appendEvents(name, prefix, columns) {
      const steps = columns[prefix + "step"];
      if (!steps || !steps.length) return;
      const own = {};
      for (const [column, values] of Object.entries(columns)) {
        if (column.startsWith(prefix)) own[column.slice(prefix.length)] = values;
      }
      const first = this[name].count;
      this[name].append(own, steps.length);
      if (name === "liqs") {
        for (let i = first; i < this.liqs.count; i++) this.byId.set(this.liqs.id[i], i);
      }
    }

    appendTies(columns) {
      const children = columns.tie_child;
      if (!children) return;
      for (let i = 0; i < children.length; i++) {
        const row = this.tieRows.child.length;
        this.tieRows.child.push(children[i]);
        this.tieRows.parent.push(columns.tie_parent[i]);
        this.tieRows.weight.push(columns.tie_weight[i]);
        this.tieRows.via.push(columns.tie_via[i]);
        page.push(this.byChild, children[i], row);
        if (columns.tie_parent[i] >= 0) page.push(this.byParent, columns.tie_parent[i], row);
      }
    }

    appendHeat(columns) {
      const steps = columns.heat_step;
      if (!steps) return;
      for (let i = 0; i < steps.length; i++) {
        const from = columns.heat_row[i];
        const to = columns.heat_row[i + 1];
        const part = { step: steps[i] };
        for (const name of ["market", "side", "low", "high", "usd"]) {
          part[name] = columns["heat_" + name].subarray(from, to);
        }
        this.heat.push(part);
      }
      if (this.heat.length > MOST_HEAT_MAPS) {
        const half = this.heat.length >> 1;
        this.heat = this.heat.filter((_, i) => i >= half || i % 2 === 0);
      }
    }

    /* Forget everything from a step on: the market was taken back before it. */
    cut(step) {
      for (const name of TABLES) {
        const table = this[name];
        if (table.count) table.count = below(table.step, table.count, step);
      }
      this.heat = this.heat.filter((part) => part.step < step);
      for (const [id, row] of this.byId) if (row >= this.liqs.count) this.byId.delete(id);
      const kept = this.tieRows;
      this.tieRows = { child: [], parent: [], weight: [], via: [] };
      this.byChild = new Map();
      this.byParent = new Map();
      for (let i = 0; i < kept.child.length; i++) this.keepTie(kept, i);
      this.version += 1;
    }

    keepTie(kept, i) {
      if (!this.byId.has(kept.child[i])) return;
      const row = this.tieRows.child.length;
      for (const name of ["child", "parent", "weight", "via"]) this.tieRows[name].push(kept[name][i]);
      page.push(this.byChild, kept.child[i], row);
      if (kept.parent[i] >= 0) page.push(this.byParent, kept.parent[i], row);
    }

    /* Begin as a branch of another lane: what it held up to and including a step. */
    adopt(other, step) {
      for (const name of TABLES) {
        const table = other[name];
        this[name].copy(table, table.count ? below(table.step, table.count, step + 1) : 0);
      }
      this.heat = other.heat.filter((part) => part.step <= step);
      for (let i = 0; i < this.liqs.count; i++) this.byId.set(this.liqs.id[i], i);
      for (let i = 0; i < other.tieRows.child.length; i++) this.keepTie(other.tieRows, i);
      this.version += 1;
    }

    /* The row at or before a step (the first where it is before all), -1 while there is none. */
    row(step) {
      return atOrBefore(this.frames, step);
    }

    accountRow(step) {
      return atOrBefore(this.accounts, step);
    }

    /* What could burn, as of a step: {step, market, side, low, high, usd}, or null. */
    heatAt(step) {
      let low = 0;
      let high = this.heat.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.heat[middle].step <= step + 1e-9) low = middle + 1;
        else high = middle;
      }
      return low ? this.heat[low - 1] : null;
    }

    /* Rows [i, j) of the liquidations with fromStep <= step <= toStep. */
    liqRange(fromStep, toStep) {
      return this.range("liqs", fromStep, toStep);
    }

    range(name, fromStep, toStep) {
      const table = this[name];
      if (!table.count) return [0, 0];
      return [below(table.step, table.count, fromStep), below(table.step, table.count, toStep + 1e-9)];
    }

    liqRow(id) {
      return this.byId.has(id) ? this.byId.get(id) : -1;
    }

    /* Who pushed a liquidation: [{parent, weight, via}]; parent -1 is news or its own trades. */
    ties(id) {
      const { parent, weight, via } = this.tieRows;
      return (this.byChild.get(id) || []).map((i) => ({ parent: parent[i], weight: weight[i], via: via[i] }));
    }

    /* The ids of the liquidations that one pushed. */
    children(id) {
      return (this.byParent.get(id) || []).map((i) => this.tieRows.child[i]);
    }

    /* The first liquidation or settlement after a step, or null. */
    nextEvent(step) {
      const next = ["liqs", "settlements"].map((name) => {
        const table = this[name];
        const i = table.count ? below(table.step, table.count, step + 1e-6) : 0;
        return table.count && i < table.count ? table.step[i] : Infinity;
      });
      const first = Math.min(...next);
      return Number.isFinite(first) ? first : null;
    }

    /* One value of a column of the frames at a row; market where the column has one a market. */
    value(name, row, market) {
      const values = this.frames[name];
      if (!values || row < 0) return NaN;
      const width = this.frames.widths[name];
      return values[row * width + (width > 1 ? market : 0)];
    }

    /* A price in USD at a row, NaN where there is none. */
    price(name, row, market) {
      const ticks = this.value(name, row, market);
      return ticks > 0 ? ticks * this.header.tick_size[market] : NaN;
    }

    total(name, row) {
      let sum = 0;
      for (let m = 0; m < this.M; m++) sum += this.value(name, row, m) || 0;
      return sum;
    }
  }

  /* Append to the list that a map keeps under a key. */
  page.push = (map, key, value) => {
    const list = map.get(key);
    if (list) list.push(value);
    else map.set(key, [value]);
  };
  page.below = below;
  page.Store = Store;
})((window.page = window.page || {}));
