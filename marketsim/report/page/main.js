/* The page begins here: its bars, its loop, and where its messages come from. */
(function (page) {
  "use strict";

  const { element, button, iconButton, setIcon, choice, say, byId } = page.dom;
  const FRAME_MS = 1000 / 30;
  const NO_INFLATE =
    "This browser cannot unpack the recording: it lacks DecompressionStream. " +
    "Chrome and Edge 103, Firefox 113 and Safari 16.4, or newer, have it.";

  const app = new page.App();

  app.alert = (words, action) => {
    const place = byId("alert");
    place.replaceChildren(
      element("span", { text: words }),
      action ||
        button("Close", () => {
          place.hidden = true;
        }),
    );
    place.hidden = false;
  };

  app.toggleControls = () => toggle("controls", "tool-controls");
  app.closeOpen = () => {
    byId("alert").hidden = true;
    if (!byId("controls").hidden) app.toggleControls();
  };
  app.toggleNotes = () => {
    byId("notes").hidden = !byId("notes").hidden;
  };

  app.toggleScheme = () => {
    page.theme.setScheme(page.theme.scheme === "dark" ? "light" : "dark");
    say(byId("tool-scheme"), page.theme.scheme === "dark" ? "Light" : "Dark");
  };

  let cameFrom = null;

  /* Open or close a panel. The focus goes into it (Tab finds the first control; space still plays)
     and afterwards back to where it was. */
  function toggle(id, tool) {
    const panel = byId(id);
    panel.hidden = !panel.hidden;
    byId(tool).setAttribute("aria-expanded", String(!panel.hidden));
    if (!panel.hidden) {
      cameFrom = document.activeElement;
      panel.focus();
    } else if (cameFrom && cameFrom.isConnected) cameFrom.focus();
  }

  const bar = {};

  /* The buttons of the player. */
  function buildTransport() {
    const { player } = app;
    bar.play = iconButton("play", "Play (space)", () => player.toggle());
    bar.play.classList.add("main");
    bar.rewind = iconButton("rewind", "Rewind the market to the step shown (W)", () => player.rewind());
    bar.branch = iconButton("branch", "Branch: what if from here (B)", () => player.branch());
    bar.strike = button("Shock", () => app.strike && app.strike(), {
      class: "strong alarm-button",
      title: "As set in the controls (S)",
    });
    bar.pace = choice("Pace", page.Player.PACES, player.pace, (pace) => player.setPace(pace));
    const windows = page.App.WINDOWS.map((hours) => [
      hours === null ? "all" : hours,
      hours === null ? "all" : hours < 24 ? `${hours} h` : `${hours / 24} d`,
    ]);
    bar.window = choice("Time shown", windows, app.span, (hours) => {
      app.span = hours === "all" ? null : Number(hours);
    });
    byId("transport").replaceChildren(
      iconButton("start", "To the beginning (Home)", () => player.seek(player.first)),
      bar.play,
      iconButton("step", "One step (→)", () => player.step(1)),
      iconButton("skip", "Forward to the next cascade or settlement (F)", () => player.skip()),
      bar.rewind,
      bar.branch,
      bar.strike,
      element(
        "label",
        { class: "pick", title: "Steps a second; story: slow in a cascade, fast elsewhere" },
        element("span", { text: "pace" }),
        bar.pace,
      ),
      element("label", { class: "pick" }, element("span", { text: "window" }), bar.window),
    );
  }

  function sayState() {
    const { player, status } = app;
    if (status.busy) return status.busy;
    if (app.live && !app.connected) return "not connected";
    if (player.lookingBack) return `looking back; the market is at step ${player.edge}`;
    if (player.running) return player.target !== null ? "to the next event" : "playing";
    return app.time >= player.last && player.last && !app.live ? "ended" : "paused";
  }

  /* The words around the pictures. */
  function updateWords() {
    const { header } = app.lanes[0];
    const step = Math.floor(app.time + 1e-6);
    say(byId("scenario"), header.scenario);
    say(
      byId("mode"),
      app.lanes.length > 1
        ? app.lanes.map((lane) => lane.header.label).join(" | ")
        : `${app.status.mode || header.mode} margin`,
    );
    say(byId("clock"), `${page.theme.clock(step, header.step_minutes)} · step ${page.theme.count(step)}`);
    say(byId("state"), sayState());
    say(byId("corner"), app.source());
    const { title, text } = app.sentence();
    const chapter = app.player.chapter(app.time);
    byId("sentence").dataset.title = title;
    say(byId("sentence"), text);
    say(byId("notes"), chapter && chapter.notes ? chapter.notes : "No notes for this moment.");
    setIcon(
      bar.play,
      app.player.running ? "pause" : "play",
      app.player.running ? "Pause (space)" : "Play (space)",
    );
    bar.rewind.hidden = bar.branch.hidden = bar.strike.hidden = !app.live;
    bar.rewind.disabled = !app.player.lookingBack;
    if (String(bar.window.value) !== String(app.span === null ? "all" : app.span))
      bar.window.value = app.span === null ? "all" : app.span;
    const layout = byId("tool-layout");
    layout.hidden = app.lanes.length !== 2;
    say(layout, app.layout === "columns" ? "Ghost" : "Side by side");
  }

  let drawnAt = 0;

  function loop(now) {
    requestAnimationFrame(loop);
    // A little early is better than one frame of the screen late.
    if (now - drawnAt < FRAME_MS - 4) return;
    const elapsed = now - drawnAt;
    drawnAt = now;
    if (!app.lanes.length || app.lanes.includes(undefined)) return;
    app.player.advance(elapsed);
    app.keepInspecting(now);
    updateWords();
    app.stage.update(now);
    app.guessing.update(byId("guess"));
    app.scrub.update();
    app.sound.update();
    app.controls.updateOwn();
  }

  async function openRecording(holder) {
    app.live = false;
    if (!page.wire.canInflate()) return app.alert(NO_INFLATE);
    let messages;
    try {
      messages = await page.wire.inflate(holder.textContent);
    } catch {
      return app.alert("The recording in this file is damaged: it cannot be unpacked.");
    }
    for (const message of messages) app.receive(page.wire.decode(message));
    if (!app.lanes.length || !app.lanes[0].rows)
      return app.alert("This recording is empty: it holds no steps.");
    return app.player.seek(app.player.first);
  }

  /* Until there is a market: what is waited for, where it will be. */
  function sayWaiting(words) {
    say(byId("waiting"), words || "waiting for the market …");
  }

  function openMarket() {
    app.live = true;
    app.connected = true;
    sayWaiting("connecting to the market …");
    app.link = new page.Link(
      (message) => {
        app.receive(message);
        if (!app.lanes.length) sayWaiting(app.status.busy || app.status.message);
      },
      (words) => {
        app.connected = false;
        app.status.running = false;
        app.alert(
          words,
          button("Reload", () => location.reload()),
        );
      },
    );
  }

  function wireTools() {
    byId("tool-controls").addEventListener("click", app.toggleControls);
    byId("tool-layout").addEventListener("click", () => app.toggleLayout());
    byId("tool-export").addEventListener("click", () => app.lanes.length && app.exports.open());
    byId("tool-help").addEventListener("click", () => app.help.open());
    byId("tool-scheme").addEventListener("click", app.toggleScheme);
    window.matchMedia("(prefers-reduced-motion: reduce)").addEventListener("change", (event) => {
      app.reduced = event.matches;
    });
  }

  function begin() {
    page.theme.setScheme(window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    say(byId("tool-scheme"), page.theme.scheme === "dark" ? "Light" : "Dark");
    app.stage = new page.Stage(byId("stage"), app);
    app.controls = new page.Controls(byId("controls"), app);
    app.exports = new page.Exports(byId("exports"), app);
    app.help = new page.Help(byId("help"), app);
    app.scrub = new page.Scrub(byId("scrub"), app);
    buildTransport();
    wireTools();
    page.listen(app);
    page.app = app;
    const holder = byId("recording");
    if (!holder && window.matchMedia("(min-width: 1600px)").matches) app.toggleControls();
    if (holder) openRecording(holder);
    else openMarket();
    requestAnimationFrame(loop);
  }

  begin();
})((window.page = window.page || {}));
