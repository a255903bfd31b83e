/* A tick for each liquidation, as a Geiger counter has it. Off until somebody asks for it. */
(function (page) {
  "use strict";

  const MOST_A_FRAME = 4;

  class Sound {
    constructor(app) {
      this.app = app;
      this.on = false;
      this.heard = 0;
    }

    toggle() {
      this.on = !this.on;
      if (this.on && !this.audio) this.audio = new (window.AudioContext || window.webkitAudioContext)();
      if (this.audio) this.on ? this.audio.resume() : this.audio.suspend();
      this.heard = this.app.time;
    }

    /* Tick for what was liquidated since the last frame; silent after a jump in time. */
    update() {
      const { app } = this;
      const from = this.heard;
      this.heard = app.time;
      if (!this.on || !app.lanes.length || app.time <= from || app.time - from > 60) return;
      const lane = app.lanes[0];
      const [first, last] = lane.liqRange(from + 1e-6, app.time);
      for (let i = first; i < Math.min(last, first + MOST_A_FRAME); i++)
        this.tick(lane.liqs.usd[i], (i - first) * 0.008);
    }

    /* Larger positions sound lower. */
    tick(usd, delay) {
      const now = this.audio.currentTime + delay;
      const tone = this.audio.createOscillator();
      const volume = this.audio.createGain();
      tone.frequency.value = Math.max(220, 2400 - 320 * Math.log10(1 + usd));
      volume.gain.setValueAtTime(0.2, now);
      volume.gain.exponentialRampToValueAtTime(0.001, now + 0.03);
      tone.connect(volume).connect(this.audio.destination);
      tone.start(now);
      tone.stop(now + 0.04);
    }
  }

  page.Sound = Sound;
})((window.page = window.page || {}));
