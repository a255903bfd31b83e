/* Colours (from the header, so that page and figures agree), scales, and how numbers are written. */
(function (page) {
  "use strict";

  /* Used until a header brings the style of the figures; the same fields. */
  const DEFAULTS = {
    light: {
      ink: "#14181f",
      muted: "#59616d",
      paper: "#ffffff",
      panel: "#f3f5f8",
      grid: "#dde1e6",
      accent: "#0b62b0",
      alarm: "#b3261e",
      long: "#0b62b0",
      short: "#b84a09",
      fund: "#14181f",
      markets: ["#8250e7", "#76a201", "#ed3e98", "#303e6b", "#8b8352", "#319af1"],
      populations: ["#5c3a2b", "#6188a8", "#497163", "#a94126", "#319af1", "#8b8352"],
      funding: [
        "#6f2a02",
        "#ab4508",
        "#dc7a35",
        "#efaf7d",
        "#f8dcc4",
        "#efeeec",
        "#cde0f4",
        "#8fbdea",
        "#4a92d4",
        "#1c61ab",
        "#0b386f",
      ],
      fire: ["#fdf3df", "#fbdc9d", "#f7b557", "#ec8428", "#cf4a17", "#9a1b14", "#560a14"],
    },
    dark: {
      ink: "#eef1f5",
      muted: "#a1abb8",
      paper: "#12161c",
      panel: "#1a2029",
      grid: "#2c343e",
      accent: "#5aa9f2",
      alarm: "#ff8a80",
      long: "#5aa9f2",
      short: "#f2913d",
      fund: "#eef1f5",
      markets: ["#ca8eff", "#c7e000", "#eb5d94", "#7c6ce8", "#e7b460", "#7cb7cc"],
      populations: ["#977a60", "#8394bf", "#67d8c3", "#e72f17", "#7cb7cc", "#e7b460"],
      funding: [
        "#ffd7ab",
        "#ffae62",
        "#e98530",
        "#b0601f",
        "#6d4423",
        "#2b323b",
        "#274b70",
        "#2f70b1",
        "#4d98e3",
        "#8fc5fe",
        "#d2e7ff",
      ],
      fire: ["#1f1b1d", "#4a1719", "#8a1f17", "#c8431a", "#ef7f22", "#fbbd4a", "#fff3b8"],
    },
  };
  /* Where the funding colours change, basis points per 8 h: fixed, so that two pictures compare. */
  const FUNDING_LIMITS = [-100, -30, -10, -3, -0.5, 0.5, 3, 10, 30, 100];
  const FONTS = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif";

  const palettes = JSON.parse(JSON.stringify(DEFAULTS));
  let limits = FUNDING_LIMITS;
  let fonts = FONTS;

  function mixed(from, to, share) {
    const channel = (colour, at) => parseInt(colour.slice(at, at + 2), 16);
    const parts = [1, 3, 5].map((at) =>
      Math.round(channel(from, at) + (channel(to, at) - channel(from, at)) * share),
    );
    return `rgb(${parts.join(",")})`;
  }

  const round = (list, i) => list[((i % list.length) + list.length) % list.length];

  const theme = {
    scheme: "light",
    version: 0,

    /* Take what the header's style says; what it leaves out keeps its default. */
    setHeader(style) {
      if (!style) return;
      for (const scheme of ["light", "dark"]) Object.assign(palettes[scheme], style[scheme] || {});
      limits = style.funding_limits_bp || FUNDING_LIMITS;
      fonts = style.fonts || FONTS;
      theme.apply();
    },

    setScheme(scheme) {
      theme.scheme = scheme;
      theme.apply();
    },

    /* Make the palette visible to the style sheet and, as fields, to the canvases. */
    apply() {
      const palette = palettes[theme.scheme];
      const root = document.documentElement;
      root.dataset.scheme = theme.scheme;
      for (const [name, value] of Object.entries(palette)) {
        if (typeof value !== "string") continue;
        theme[name] = value;
        root.style.setProperty("--" + name, value);
      }
      root.style.setProperty("--fonts", fonts);
      theme.soft = theme.muted;
      theme.index = theme.ink;
      theme.neutral = palette.funding[(palette.funding.length - 1) / 2];
      theme.version += 1;
    },

    market: (m) => round(palettes[theme.scheme].markets, m),
    population: (p) => round(palettes[theme.scheme].populations, p),
    side: (side) => (side ? theme.short : theme.long),

    /* The colour of a funding rate (a fraction per 8 h). */
    funding(rate) {
      const colours = palettes[theme.scheme].funding;
      if (!Number.isFinite(rate)) return theme.neutral;
      let i = 0;
      while (i < limits.length && rate * 1e4 >= limits[i]) i++;
      return colours[Math.min(i, colours.length - 1)];
    },

    /* The funding scale for a legend: [{from, to, colour}], basis points, open ends infinite. */
    fundingSteps() {
      return palettes[theme.scheme].funding.map((colour, i) => ({
        from: i ? limits[i - 1] : -Infinity,
        to: i < limits.length ? limits[i] : Infinity,
        colour,
      }));
    },

    /* From an ember (0) to a full blaze (1). */
    fire(x) {
      const ramp = palettes[theme.scheme].fire;
      const at = Math.min(1, Math.max(0, x || 0)) * (ramp.length - 1);
      const low = Math.min(ramp.length - 2, Math.floor(at));
      return mixed(ramp[low], ramp[low + 1], at - low);
    },

    font: (px, weight) => `${weight || 400} ${px}px ${fonts}`,

    /* "$1.2M"; three significant figures, the way one says it. */
    usd(value) {
      if (!Number.isFinite(value)) return "–";
      const size = Math.abs(value);
      const [scale, suffix] =
        size >= 999.5e6 ? [1e9, "bn"] : size >= 999.5e3 ? [1e6, "M"] : size >= 9995 ? [1e3, "k"] : [1, ""];
      const scaled = size / scale;
      const digits = suffix === "" ? 0 : scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2;
      return (value < 0 && scaled >= 0.5 ? "−$" : "$") + theme.count(scaled, digits) + suffix;
    },

    /* A price with as many digits as tell it apart. */
    price(value) {
      if (!Number.isFinite(value)) return "–";
      const size = Math.abs(value);
      return "$" + theme.count(value, size >= 1000 ? 0 : size >= 10 ? 2 : 4);
    },

    /* How far two prices are apart, at least 0. */
    apart(usd) {
      return usd >= 10 ? theme.usd(usd) : "$" + theme.count(usd, usd >= 1 ? 2 : 4);
    },

    count(value, digits) {
      if (!Number.isFinite(value)) return "–";
      const format = { minimumFractionDigits: digits || 0, maximumFractionDigits: digits || 0 };
      return value.toLocaleString("en-US", format).replace("-", "−");
    },

    /* Basis points with their sign: "+1.0 bp". */
    bp(fraction) {
      if (!Number.isFinite(fraction)) return "–";
      const points = fraction * 1e4;
      const text = Math.abs(points).toFixed(Math.abs(points) >= 99.5 ? 0 : 1);
      return (points < 0 && Number(text) ? "−" : "+") + text + " bp";
    },

    percent(fraction, digits) {
      if (!Number.isFinite(fraction)) return "–";
      const text = Math.abs(fraction * 100).toFixed(digits === undefined ? 1 : digits);
      return (fraction < 0 && Number(text) ? "−" : "") + text + " %";
    },

    /* When a step ends: "day 2, 04:20", days counted from 1. */
    clock(step, stepMinutes) {
      const minutes = Math.floor(step * stepMinutes + 1e-6);
      const day = Math.floor(minutes / 1440) + 1;
      return `day ${day}, ${theme.hour(step, stepMinutes)}`;
    },

    hour(step, stepMinutes) {
      const minutes = Math.floor(step * stepMinutes + 1e-6) % 1440;
      const two = (n) => String(n).padStart(2, "0");
      return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
    },
  };

  page.views = page.views || [];
  page.theme = theme;
})((window.page = window.page || {}));
