/* What can be done to a running market: rules, habits, seed, shocks, twins. */
(function (page) {
  "use strict";

  const { element, button, choice, say } = page.dom;
  const { slider, valuePicker } = page.sliders;
  const WHEN = { now: "acts at once", reset: "on reset" };
  const STRIKES = [
    {
      kind: "crash",
      label: "Shock",
      market: true,
      size: { min: -40, max: 40, step: 1, value: -10, unit: "%" },
      minutes: { min: 1, max: 240, step: 1, value: 10 },
      words: "A fall (or rise) of the spot price within minutes.",
    },
    {
      kind: "depeg",
      label: "Depeg",
      size: { min: -30, max: 0, step: 0.5, value: -3, unit: "%" },
      words: "The stablecoin that serves as collateral loses part of its worth.",
    },
    {
      kind: "depth",
      label: "Withdraw depth",
      market: true,
      share: { min: 5, max: 95, step: 5, value: 60, unit: "%" },
      minutes: { min: 1, max: 480, step: 1, value: 60 },
      words: "Makers take part of the book away.",
    },
    {
      kind: "outage",
      label: "Outage",
      minutes: { min: 1, max: 240, step: 1, value: 15 },
      words: "One spot venue prints a wrong price.",
    },
  ];

  const PART_NAMES = { size: "Size", share: "Share", minutes: "Within" };

  const focusable = (root) => [...root.querySelectorAll("button, input, select")];

  class Controls {
    constructor(root, app) {
      this.root = root;
      this.app = app;
      this.refusals = new Map();
      this.sliders = new Map();
      this.waiting = new Set();
    }

    /* Make the panel for a header; a recording only says how to get what can be changed. */
    build() {
      this.refusals.clear();
      this.sliders.clear();
      this.waiting.clear();
      const header = this.app.lanes[0].header;
      const focused = focusable(this.root).indexOf(document.activeElement);
      const parts = this.app.live
        ? [
            this.strikePart(header),
            this.viewPart(),
            this.marketPart(header),
            this.comparePart(header),
            ...this.settingParts(header),
            this.donePart(),
          ]
        : [this.viewPart(), this.recordingPart(header)];
      this.root.replaceChildren(
        button("Close", () => this.app.toggleControls(), { class: "drawer-close" }),
        ...parts,
      );
      // Who pressed "reset" by keyboard stays there.
      const again = focusable(this.root)[focused];
      if (again) again.focus();
    }

    group(title, ...children) {
      return element("fieldset", {}, element("legend", { text: title }), ...children);
    }

    /* Where a refusal of a command or a setting is shown. */
    refusal(field) {
      const made = element("p", { class: "refusal", role: "alert", hidden: true });
      this.refusals.set(field, made);
      return made;
    }

    refused({ field, message }) {
      const place = this.refusals.get(field) || this.refusals.get((field || "").split(".")[0]);
      if (!place || this.root.hidden) return this.app.alert(`${field ? `${field}: ` : ""}${message}`);
      place.hidden = false;
      place.textContent = message;
      return undefined;
    }

    send(message) {
      for (const place of this.refusals.values()) place.hidden = true;
      this.app.send(message);
    }

    viewPart() {
      const { app } = this;
      const sound = button("Tick: off", () => app.sound.toggle(), {
        title: "A tick for each liquidation (K)",
      });
      this.sound = sound;
      const guess = button("Guess, then see", () => app.guessing.toggle(), { class: "strong" });
      return this.group(
        "Audience",
        element("div", { class: "row" }, guess, sound),
        element("p", {
          class: "hint",
          text: "Before the shock, drag the line on the price chart. The tick sounds once for each liquidation.",
        }),
      );
    }

    recordingPart(header) {
      const live = `marketsim live ${header.scenario}`;
      return this.group(
        "This is a recording",
        element("p", {
          class: "hint",
          text: "It can be scrubbed, not changed. The running market takes shocks, rules and seeds:",
        }),
        element("code", { text: live }),
        element("p", { class: "hint", text: `Seed ${header.seed}, ${header.mode} margin.` }),
      );
    }

    marketPart(header) {
      const seed = element("input", {
        type: "number",
        min: 0,
        step: 1,
        value: header.seed,
        "aria-label": "Seed",
      });
      const apply = () => this.send({ do: "seed", seed: Math.max(0, Math.floor(Number(seed.value) || 0)) });
      seed.addEventListener("change", apply);
      const modes = header.modes.map((mode) =>
        button(mode, () => this.send({ do: "mode", mode }), { "data-mode": mode }),
      );
      this.modes = modes;
      this.seed = seed;
      return this.group(
        "Market",
        element(
          "label",
          { class: "field" },
          element("span", { text: "Scenario" }),
          choice("Scenario", this.scenarioPairs(header), header.scenario, (scenario) =>
            this.send({ do: "scenario", scenario }),
          ),
        ),
        this.refusal("scenario"),
        element(
          "div",
          { class: "field" },
          element("span", { text: "Margin mode" }),
          element("div", { class: "segments", role: "group", "aria-label": "Margin mode" }, modes),
        ),
        this.refusal("mode"),
        element(
          "div",
          { class: "field" },
          element("span", { text: "Seed" }),
          seed,
          button("New seed", () => this.send({ do: "new_seed" })),
        ),
        this.refusal("seed"),
        this.refusal("new_seed"),
        element(
          "div",
          { class: "row" },
          button("Reset", () => this.send({ do: "reset" }), { class: "strong" }),
        ),
        this.refusal("reset"),
      );
    }

    scenarioPairs(header) {
      const names = header.scenarios.includes(header.scenario)
        ? header.scenarios
        : [header.scenario, ...header.scenarios];
      return names.map((name) => [name, name]);
    }

    strikePart(header) {
      return this.group(
        "Strike",
        ...STRIKES.map((strike) => this.strike(strike, header)),
        this.refusal("shock"),
      );
    }

    /* One way to strike the market, with its own size and place. */
    strike(strike, header) {
      let market = header.markets[0];
      const parts = {};
      const inputs = [];
      if (strike.market) {
        const pairs = [...header.markets.map((name) => [name, name]), ["", "all markets"]];
        inputs.push(
          choice(`${strike.label}: market`, pairs, market, (name) => {
            market = name || null;
          }),
        );
      }
      for (const part of ["size", "share", "minutes"]) {
        if (!strike[part]) continue;
        const label = PART_NAMES[part];
        parts[part] = slider(
          { unit: "min", ...strike[part], label, name: `${strike.label}: ${label}` },
          () => {},
        );
        inputs.push(parts[part].root);
      }
      const act = () => {
        const message = { do: "shock", kind: strike.kind };
        if (strike.market) message.market = market;
        for (const part of ["size", "share"]) if (parts[part]) message[part] = parts[part].value / 100;
        if (parts.minutes) message.minutes = parts.minutes.value;
        this.send(message);
      };
      if (strike.kind === "crash") this.app.strike = act;
      const made = button(strike.label, act, {
        class: strike.kind === "crash" ? "strong alarm-button" : "",
        title: strike.words,
      });
      return element("div", { class: "strike" }, made, element("div", { class: "strike-parts" }, inputs));
    }

    comparePart(header) {
      const { app } = this;
      const other = header.modes.find((mode) => mode !== header.mode);
      const twin = choice(
        "Margin mode of the twin",
        header.modes.map((mode) => [mode, mode]),
        other,
        () => {},
      );
      const twins = () => {
        app.layout = "columns";
        this.send({ do: "twins", mode: twin.value });
      };
      return this.group(
        "Compare, same seed",
        element(
          "div",
          { class: "field" },
          button("Twins", twins, { title: "The same market under another margin mode, from the start" }),
          element("span", { text: "the other is" }),
          twin,
        ),
        element(
          "div",
          { class: "row wrap" },
          button("Four venues", () => this.send({ do: "venues" }), { title: header.venues.join(", ") }),
          button("One market", () => this.send({ do: "single" })),
        ),
        this.refusal("twins"),
        this.refusal("venues"),
        this.refusal("single"),
        ...this.branchParts(header),
      );
    }

    /* "What if from here": another future of the step shown, with or without a change. */
    branchParts(header) {
      const changes = (header.controls || []).filter((control) => control.acts === "now");
      const place = element("div");
      let change = null;
      const pick = (path) => {
        const control = changes.find((each) => each.path === path);
        change = control ? { path, value: control.value } : null;
        const set = (value) => {
          change.value = value;
        };
        place.replaceChildren(...(control ? [valuePicker(control, set).root] : []));
      };
      const pairs = [["", "nothing changed"], ...changes.map((control) => [control.path, control.label])];
      return [
        element(
          "div",
          { class: "field" },
          button("What if from here", () => this.app.player.branch(change)),
          element("span", { text: "with" }),
          choice("What is changed in the branch", pairs, "", pick),
        ),
        place,
        this.refusal("branch"),
        this.refusal("rewind"),
      ];
    }

    settingParts(header) {
      const groups = new Map();
      for (const control of header.controls || []) page.push(groups, control.group || "Settings", control);
      return [...groups].map(([title, controls]) =>
        this.group(title, ...controls.flatMap((control) => this.setting(control))),
      );
    }

    setting(control) {
      const when = element("small", {
        class: `when ${control.acts}`,
        text: WHEN[control.acts] || control.acts,
      });
      const act = (value) => {
        this.send({ do: "set", path: control.path, value });
        if (control.acts === "reset") {
          this.waiting.add(control.path);
          when.textContent = "waits for reset";
        }
      };
      const made = valuePicker(control, act, when);
      this.sliders.set(control.path, made);
      return [made.root, this.refusal(control.path)];
    }

    /* What was done so far, so that an audience can see that nothing else was. */
    donePart() {
      this.done = element("ol", { class: "done" });
      return this.group("Done so far", this.done);
    }

    /* What the page itself changes. */
    updateOwn() {
      if (!this.sound) return;
      const { on } = this.app.sound;
      this.sound.setAttribute("aria-pressed", String(on));
      say(this.sound, `Tick: ${on ? "on" : "off"}`);
    }

    /* Show what is in force, as the market says. */
    update(status) {
      if (!this.app.live || !this.modes) return;
      for (const control of status.controls || []) {
        const made = this.sliders.get(control.path);
        if (made && !this.waiting.has(control.path)) made.set(control.value);
      }
      const mode = status.mode || this.app.lanes[0].header.mode;
      for (const segment of this.modes)
        segment.setAttribute("aria-pressed", String(segment.dataset.mode === mode));
      const list = status.interventions || [];
      if (this.done.childElementCount !== list.length) {
        this.done.replaceChildren(
          ...list.map(({ at_step, text }) => element("li", { text: `step ${at_step}: ${text}` })),
        );
      }
    }
  }

  page.Controls = Controls;
})((window.page = window.page || {}));
