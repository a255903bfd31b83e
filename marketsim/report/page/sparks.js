/* What flies: from a liquidation to one that it caused. Flights take their time by the clock on
   the wall, because at twenty steps a second nobody would see one that took a step. */
(function (page) {
  "use strict";

  /* Steps that time may move on between two drawings and still be seen as running. */
  const MOST_STEPS = 40;
  /* Flights begun at one drawing: those with most dollars. */
  const MOST_NEW = 40;
  const MOST = 160;

  class Flights {
    /* `seconds` a flight takes; `wanted(lane, parentRow, childRow)` says which are shown. */
    constructor(seconds, wanted) {
      this.seconds = seconds;
      this.wanted = wanted;
      this.time = NaN;
      this.list = [];
    }

    /* Start what was caused since the last drawing and end what has arrived. */
    update(area) {
      const now = performance.now() / 1000;
      const moved = area.time - this.time;
      if (!(moved >= 0 && moved <= MOST_STEPS) || area.reduced) this.list = [];
      else if (moved > 0) this.start(area, now);
      this.time = area.time;
      this.list = this.list.filter((flight) => now - flight.born < this.seconds);
      if (this.list.length && area.animate) area.animate();
      for (const flight of this.list) flight.share = (now - flight.born) / this.seconds;
    }

    start(area, now) {
      const lane = area.lane;
      const first = page.readings.burnt(lane, this.time);
      const end = page.readings.burnt(lane, area.time);
      const started = [];
      for (let child = first; child < end; child++) {
        for (const tie of lane.ties(lane.liqs.id[child])) {
          const parent = tie.parent < 0 ? -1 : lane.liqRow(tie.parent);
          if (parent < 0 || !this.wanted(lane, parent, child)) continue;
          started.push({ parent, child, usd: tie.weight * lane.liqs.usd[child], born: now });
        }
      }
      started.sort((a, b) => b.usd - a.usd);
      this.list = this.list.concat(started.slice(0, MOST_NEW)).slice(-MOST);
    }

    /* The ties a still picture shows instead: those of the last `steps`, the largest first. */
    still(area, steps) {
      const lane = area.lane;
      const { first, end } = page.readings.recent(lane, area.time, steps);
      const found = [];
      for (let child = first; child < end; child++) {
        for (const tie of lane.ties(lane.liqs.id[child])) {
          const parent = tie.parent < 0 ? -1 : lane.liqRow(tie.parent);
          if (parent < 0 || !this.wanted(lane, parent, child)) continue;
          found.push({ parent, child, usd: tie.weight * lane.liqs.usd[child] });
        }
      }
      return found.sort((a, b) => b.usd - a.usd).slice(0, MOST_NEW);
    }
  }

  page.Flights = Flights;
})((window.page = window.page || {}));
