/* Colours (from the header, so that page and figures agree), scales, and how numbers are written. */
(function (page) {
  "use strict";

  /* Used until a header brings the style of the figures; the same fields. */
  const DEFAULTS = {
    light: {
      ink: "#1b1f24", soft: "#565d67", paper: "#ffffff", panel: "#f4f3ef", grid: "#dddad2",
      accent: "#0b5cad", alarm: "#b3261e", long: "#0b6fb8", short: "#c2500a", fund: "#1f7a4d",
      index: "#1b1f24", neutral: "#e9e7e1",
      markets: ["#6a3d9a", "#14786c", "#946206", "#a82d66", "#4d6b1f", "#565d67"],
      populations: ["#0b6fb8", "#c2500a", "#14786c", "#6a3d9a", "#946206", "#a82d66", "#4d6b1f", "#565d67"],
      funding: ["#053061", "#2166ac", "#4393c3", "#92c5de", "#cfe3ee", "#efedea",
        "#fbd9c4", "#f4a582", "#d6604d", "#b2182b", "#67001f"],
      fire: ["#fff1d6", "#fdd49e", "#fdbb84", "#fc8d59", "#e34a33", "#b30000", "#5b0010"],
    },
    dark: {
      ink: "#f0eee8", soft: "#adb3bd", paper: "#12151a", panel: "#1b2027", grid: "#313843",
      accent: "#7cc0ff", alarm: "#ff8a80", long: "#56b4e9", short: "#ff9455", fund: "#63d29a",
      index: "#f0eee8", neutral: "#2a3039",
      markets: ["#b9a0f5", "#4fd0bd", "#e9bb4e", "#f284b4", "#b3cf6b", "#c0c4cb"],
      populations: ["#56b4e9", "#ff9455", "#4fd0bd", "#b9a0f5", "#e9bb4e", "#f284b4", "#b3cf6b", "#c0c4cb"],
      funding: ["#9fd0ff", "#6aaee6", "#3f86c4", "#2f6394", "#2c455f", "#2a3039",
        "#5b3d35", "#8f4f3c", "#c96a4b", "#f08a66", "#ffc2a3"],
      fire: ["#2b1a12", "#5a1d10", "#8f2410", "#c73d10", "#f06a1a", "#fca636", "#fff0a8"],
    },
  };
  /* Edges of the funding colours, basis points per 8 h: fixed, so that two pictures compare. */
  const FUNDING_EDGES = [-50, -20, -10, -5, -2, 2, 5, 10, 20, 50];
  const FAMILY = '"Inter", "Segoe UI", "Helvetica Neue", "DejaVu Sans", system-ui, sans-serif';

  const palettes = JSON.parse(JSON.stringify(DEFAULTS));
  let edges = FUNDING_EDGES;

  function mixed(from, to, share) {
    const channel = (colour, at) => parseInt(colour.slice(at, at + 2), 16);
    const parts = [1, 3, 5].map((at) =>
      Math.round(channel(from, at) + (channel(to, at) - channel(from, at)) * share));
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
      edges = style.funding_edges_bp || FUNDING_EDGES;
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
      theme.up = theme.long;
      theme.down = theme.short;
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
      while (i < edges.length && rate * 1e4 >= edges[i]) i++;
      return colours[Math.min(i, colours.length - 1)];
    },

    /* The funding scale for a legend: [{from, to, colour}], basis points, open ends infinite. */
    fundingSteps() {
      return palettes[theme.scheme].funding.map((colour, i) => ({
        from: i ? edges[i - 1] : -Infinity,
        to: i < edges.length ? edges[i] : Infinity,
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

    font: (px, weight) => `${weight || 400} ${px}px ${FAMILY}`,

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

    count: (value, digits) =>
      Number.isFinite(value)
        ? value.toLocaleString("en-US", { minimumFractionDigits: digits || 0, maximumFractionDigits: digits || 0 })
        : "–",

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
