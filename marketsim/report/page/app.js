/* What the page holds: lanes, the moment shown, what is chosen; and the messages that change it. */
(function (page) {
  "use strict";

  /* Hours of the run that the charts show; null: all of it. */
  const WINDOWS = [1, 2, 6, 12, 24, 72, 168, null];
  /* Part of the window kept free right of now, for what may come. */
  const AHEAD = 0.06;
  /* Of a digest, in the corner; of each of four. */
  const DIGITS = 10;
  const FEW_DIGITS = 6;

  const INSPECT_EVERY_MS = 1000;

  class App {
    constructor() {
      this.lanes = [];
      this.chapters = [];
      this.status = {};
      this.digests = {};
      this.live = false;
      this.connected = false;
      this.layout = "single";
      this.view = "network";
      this.market = 0;
      this.relative = false;
      this.time = 0;
      this.span = 6;
      this.selected = null;
      this.selections = 0;
      this.inspected = -1; // step at which an account was spelled out last
      this.inspectedAt = 0;
      this.guess = null;
      this.strike = null;
      this.reduced = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.player = new page.Player(this);
      this.sound = new page.Sound(this);
      this.guessing = new page.Guessing(this);
    }

    /* Take one message, from the socket or from a recording. */
    receive(message) {
      const take = {
        start: () => this.start(message),
        frames: () => this.lanes[message.lane] && this.lanes[message.lane].append(message),
        status: () => this.setStatus(message),
        chapters: () => {
          this.chapters = message.chapters || [];
        },
        account: () => this.setStatement(message),
        digest: () => this.setDigest(message),
        refused: () => this.controls.refused(message),
        file: () => this.exports.receive(message),
      }[message.kind];
      if (take) take();
    }

    start(header) {
      const lane = new page.Store(header);
      const { from } = header;
      if (from && this.lanes[from.lane]) lane.adopt(this.lanes[from.lane], from.step);
      this.lanes.length = Math.min(this.lanes.length, header.lanes || 1);
      if (header.lane === 0) this.begin(header);
      this.lanes[header.lane] = lane;
      this.digests[header.lane] = { digest: header.digest, command: header.command };
      if (this.lanes.length === (header.lanes || 1) && !this.lanes.includes(undefined)) this.arrange();
    }

    /* A market begins, or begins anew. */
    begin(header) {
      page.theme.setHeader(header.theme);
      document.title = `marketsim ${header.scenario}`;
      this.live = header.source === "live";
      this.market = Math.min(this.market, header.markets.length - 1);
      this.selected = null;
      this.guess = null;
      this.chapters = [];
      this.digests = {};
      this.time = 0;
      this.player.following = true;
    }

    arrange() {
      if (this.lanes.length < 2) this.layout = "single";
      else if (this.lanes.length > 2) this.layout = "columns";
      this.stage.build();
      this.controls.build();
      this.controls.update(this.status);
    }

    setStatus({ arrays, columns, shapes, ...message }) {
      Object.assign(this.status, message);
      if (message.lanes && message.lanes < this.lanes.length) {
        this.lanes.length = message.lanes;
        this.arrange();
      }
      if (this.lanes.length) this.controls.update(message);
    }

    setStatement(message) {
      const lane = this.lanes[message.lane || 0];
      if (!lane) return;
      lane.statement = message;
      lane.version += 1;
    }

    setDigest(message) {
      const lane = message.lane || 0;
      this.digests[lane] = message;
      this.exports.update();
    }

    send(message) {
      if (!this.live) return;
      if (!this.link || !this.link.send(message))
        this.alert("The market is gone: nothing can be changed any more. Reload to begin a new one.");
    }

    /* The steps that the charts show. */
    window() {
      const { first, last } = this.player;
      if (this.span === null || !this.lanes.length) return [first, Math.max(last, first + 10)];
      const width = (this.span * 60) / this.lanes[0].header.step_minutes;
      const to = Math.max(this.time + AHEAD * width, first + width);
      return [to - width, to];
    }

    zoom(direction) {
      const at = WINDOWS.indexOf(this.span) + direction;
      if (at >= 0 && at < WINDOWS.length) this.span = WINDOWS[at];
    }

    chooseMarket(m) {
      const { markets } = this.lanes[0].header;
      this.relative = m === markets.length;
      if (!this.relative) this.market = m;
    }

    nextMarket() {
      const count = this.lanes[0].M;
      this.chooseMarket(this.relative ? 0 : Math.min(this.market + 1, count));
    }

    /* Take what a picture says was picked (see its `pick`); the market spells an account out. */
    select(what) {
      this.selected = what;
      this.selections += 1;
      if (!what) return;
      if (what.kind === "market") this.chooseMarket(what.market);
      this.inspect();
    }

    /* Ask the market to spell the chosen account out. */
    inspect() {
      const account = this.selected && this.selected.account;
      if (!this.live || !Number.isInteger(account)) return;
      this.inspected = this.lanes[0].lastStep;
      this.send({ do: "inspect", account, lane: 0 });
    }

    /* Ask again now and then, while the account is looked at and the market moves on. */
    keepInspecting(now) {
      if (this.view !== "inspector" || this.inspected === this.lanes[0].lastStep) return;
      if (!this.connected || now - this.inspectedAt < INSPECT_EVERY_MS) return;
      this.inspectedAt = now;
      this.inspect();
    }

    setLayout(layout) {
      this.layout = layout;
      if (this.lanes.length) this.arrange();
    }

    toggleLayout() {
      if (this.lanes.length === 2) this.setLayout(this.layout === "columns" ? "single" : "columns");
    }

    /* Where a picture comes from, in one line. */
    source() {
      const { scenario, seed, sampled } = this.lanes[0].header;
      return `${scenario} · seed ${seed}${sampled ? ` · ${this.sample()}` : ""} · digest ${this.sayDigest()}`;
    }

    /* The digests that are known; of a live market those of its last pause, with the step. */
    sayDigest() {
      const known = this.lanes.map((_, k) => this.digests[k] || {}).filter(({ digest }) => digest);
      if (!known.length) return this.live ? "at the next pause" : "unknown";
      const length = known.length > 2 ? FEW_DIGITS : DIGITS;
      const digits = known.map(({ digest }) => digest.slice(0, length)).join(" / ");
      return this.live ? `${digits} at step ${known[0].step}` : digits;
    }

    /* One line on what goes on: a chapter's sentence, the market's own words, what was done last. */
    sentence() {
      const chapter = this.player.chapter(this.time);
      if (chapter) return { title: chapter.title, text: chapter.sentence };
      if (this.status.message) return { title: "", text: this.status.message };
      const done = (this.status.interventions || []).filter(({ at_step }) => at_step <= this.time).pop();
      if (done) return { title: `Step ${done.at_step}`, text: done.text };
      return {
        title: "",
        text: this.live ? "Space lets the market run, S strikes it, ? explains what is seen." : "",
      };
    }

    sample() {
      const { accounts } = this.lanes[0].header;
      const { count } = page.theme;
      return `sample of ${count(accounts.drawn.length)} of ${count(accounts.total)} accounts`;
    }
  }

  App.WINDOWS = WINDOWS;
  page.App = App;
})((window.page = window.page || {}));
