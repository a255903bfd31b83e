/* What flies: from where a loss arose to the liquidation that it caused. Flights take their time by
   the clock on the wall, because at twenty steps a second nobody would see one that took a step. */
(function (page) {
  "use strict";

  /* Steps that time may move on between two drawings and still be seen as running. */
  const MOST_STEPS = 40;
  /* Flights begun at one drawing: those with most dollars. */
  const MOST_NEW = 40;
  const MOST = 160;

  /* What led to the liquidations of rows [first, end): {parent: row or -1, via, child, usd}. */
  function causes(lane, first, end, wanted) {
    const ties = page.readings.passed(lane);
    const found = [];
    for (let k = page.below(ties.child, ties.child.length, first); k < ties.child.length; k++) {
      if (ties.child[k] >= end) break;
      if (ties.via[k] >= lane.M) continue;
      const cause = { parent: ties.parent[k], via: ties.via[k], child: ties.child[k], usd: ties.usd[k] };
      if (wanted(lane, cause)) found.push(cause);
    }
    return found.sort((a, b) => b.usd - a.usd).slice(0, MOST_NEW);
  }

  class Flights {
    /* `seconds` a flight takes; `wanted(lane, cause)` says which are shown. */
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
      else if (moved > 0) this.start(area.lane, this.time, area.time, now);
      this.time = area.time;
      this.list = this.list.filter((flight) => now - flight.born < this.seconds);
      for (const flight of this.list) flight.share = (now - flight.born) / this.seconds;
      if (this.list.length && area.animate) area.animate();
    }

    start(lane, from, to, now) {
      const { burnt } = page.readings;
      const started = causes(lane, burnt(lane, from), burnt(lane, to), this.wanted);
      for (const flight of started) flight.born = now;
      this.list = this.list.concat(started).slice(-MOST);
    }

    /* What a still picture shows instead: the causes of the last `steps`. */
    still(area, steps) {
      const { first, end } = page.readings.recent(area.lane, area.time, steps);
      return causes(area.lane, first, end, this.wanted);
    }
  }

  /* Where a flight is on its way past several stops, and which one it left last. */
  Flights.at = (stops, share) => {
    const legs = stops.length - 1;
    const leg = Math.min(legs - 1, Math.floor(share * legs));
    const [from, to] = [stops[leg], stops[leg + 1]];
    const part = share * legs - leg;
    return { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part, from };
  };

  page.Flights = Flights;
})((window.page = window.page || {}));
