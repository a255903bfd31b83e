/* Time: what step is shown, and how it moves. A replay moves by itself; a live market moves it. */
(function (page) {
  "use strict";

  /* "story": fast where nothing happens, slow in a cascade; steps a second. */
  const PACES = [
    ["story", "story"],
    ...[2, 5, 10, 30, 60, 120].map((pace) => [String(pace), `${pace} / s`]),
    ["0", "fastest"],
  ];
  const QUIET_PACE = 120;
  const CASCADE_PACE = 6;
  const FASTEST = 900;
  /* Steps without a liquidation that end a cascade, and how far before one time slows down. */
  const CALM_AFTER = 4;
  const SLOW_BEFORE = 3;
  /* Single liquidations are no cascade: so much of the open interest is closed within these steps. */
  const CASCADE_SHARE = 0.002;
  const SKIP_SECONDS = 1.5;

  class Player {
    constructor(app) {
      this.app = app;
      this.playing = false;
      this.following = true;
      this.pace = "story";
      this.target = null; // where a skip runs to
      this.asked = null; // the speed last asked of a live market
    }

    get first() {
      return this.app.lanes.length ? this.app.lanes[0].firstStep : 0;
    }

    get last() {
      return this.app.lanes.reduce((most, lane) => Math.max(most, lane.lastStep), 0);
    }

    /* Where time has come to: a live branch that runs after the old future is watched from its start. */
    get edge() {
      const steps = this.app.lanes.map((lane) => lane.lastStep);
      return this.app.live && steps.length ? Math.min(...steps) : this.last;
    }

    get lookingBack() {
      return this.app.live && !this.following;
    }

    /* Move time by what passed since the last frame (ms). */
    advance(elapsed) {
      const { app } = this;
      if (app.live) {
        if (this.following) app.time = this.edge;
        if (this.pace === "story" && app.status.running) this.askPace();
        return;
      }
      if (!this.playing) return;
      let next = app.time + (this.speed() * Math.min(elapsed, 250)) / 1000;
      if (this.target !== null && next >= this.target) {
        next = this.target;
        this.target = null;
      }
      app.time = Math.min(next, this.last);
      if (app.time >= this.last) this.playing = false;
    }

    /* Steps a second at the moment shown. */
    speed() {
      if (this.target !== null) return this.skipSpeed;
      if (this.pace !== "story") return Number(this.pace) || FASTEST;
      return this.inCascade(this.app.time) ? CASCADE_PACE : QUIET_PACE;
    }

    inCascade(time) {
      return this.app.lanes.some((lane) => {
        const [from, to] = lane.liqRange(time - CALM_AFTER, time + SLOW_BEFORE);
        let usd = 0;
        for (let i = from; i < to; i++) usd += lane.liqs.usd[i];
        return usd > CASCADE_SHARE * lane.total("interest", lane.row(time));
      });
    }

    /* A live market is slowed when a cascade begins and let go when it ends. */
    askPace() {
      const wanted = this.inCascade(this.edge) ? CASCADE_PACE : QUIET_PACE;
      if (wanted === this.asked) return;
      this.asked = wanted;
      this.app.send({ do: "speed", steps_per_second: wanted });
    }

    setPace(pace) {
      this.pace = pace;
      this.asked = null;
      if (this.app.live && pace !== "story") this.app.send({ do: "speed", steps_per_second: Number(pace) });
    }

    get running() {
      return this.app.live ? Boolean(this.app.status.running) : this.playing;
    }

    toggle() {
      const { app } = this;
      if (app.live) {
        this.following = true;
        app.send({ do: this.running ? "pause" : "play" });
        return;
      }
      if (!this.playing && app.time >= this.last) app.time = this.first;
      this.playing = !this.playing;
      this.target = null;
    }

    pause() {
      if (!this.running) return;
      if (this.app.live) this.app.send({ do: "pause" });
      this.playing = false;
    }

    /* One step on or back; at the edge of a live market a step on is a step of the market. */
    step(count) {
      const { app } = this;
      this.pause();
      if (app.live && count > 0 && app.time >= this.edge) {
        this.following = true;
        app.send({ do: "step", n: count });
        return;
      }
      this.seek(Math.round(app.time) + count);
    }

    seek(step) {
      this.target = null;
      this.app.time = Math.min(Math.max(step, this.first), this.last);
      this.following = this.app.time >= this.edge;
    }

    /* Run on, fast, to the next cascade or settlement. */
    skip() {
      const { app } = this;
      if (app.live && app.time >= this.edge) {
        this.following = true;
        app.send({ do: "skip" });
        return;
      }
      const target = this.nextEvent(app.time);
      if (target === null) return;
      this.target = target;
      this.skipSpeed = Math.max(QUIET_PACE, (target - app.time) / SKIP_SECONDS);
      if (app.live) this.seek(target);
      else this.playing = true;
    }

    /* The next settlement, or liquidation that opens a cascade, in any lane; null at the end. */
    nextEvent(time) {
      let next = null;
      for (const lane of this.app.lanes) {
        let step = lane.nextEvent(time);
        while (step !== null && this.goesOn(lane, step)) step = lane.nextEvent(step);
        if (step !== null && (next === null || step < next)) next = step;
      }
      return next;
    }

    goesOn(lane, step) {
      const [from, to] = lane.liqRange(step - CALM_AFTER, step - 1);
      const [here, next] = lane.liqRange(step, step);
      return to > from && next > here;
    }

    /* The chapter told at a step, or null. */
    chapter(step) {
      return this.app.chapters.reduce(
        (told, chapter) => (chapter.step <= step + 1e-9 ? chapter : told),
        null,
      );
    }

    /* Go to the chapter after (1) or before (-1) the one told now. */
    turn(direction) {
      const steps = this.app.chapters.map((chapter) => chapter.step);
      const now = this.app.time;
      const next =
        direction > 0
          ? steps.find((step) => step > now + 0.5)
          : steps.filter((step) => step < now - 0.5).pop();
      if (next !== undefined) this.seek(next);
    }

    /* Take the live market back to the step shown; what comes after is another future. */
    rewind() {
      const step = Math.round(this.app.time);
      this.following = true;
      this.app.send({ do: "rewind", step });
    }

    /* "What if from here": the future from the step shown, in a second lane. */
    branch(change) {
      const step = Math.round(this.app.time);
      this.following = true;
      this.app.send(change ? { do: "branch", step, change } : { do: "branch", step });
    }
  }

  Player.PACES = PACES;
  page.Player = Player;
})((window.page = window.page || {}));
