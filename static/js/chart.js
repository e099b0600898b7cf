// Live curves with uPlot: <figure data-series-url data-live> asks for its numbers and asks again while live.
// The answer: {"x": [...], "series": [{"name", "values", "colour": 1..8, "points": bool}], "x_label", "x_max", "live"}.
const PERIOD = 3000;
const charts = new Map();

// light-dark() stays unresolved in a custom property, so the colour is read off an element that wears it.
function colour(token) {
  const probe = document.createElement("i");
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const short = (value) => value == null ? "–" : Math.abs(value) >= 100 ? value.toFixed(0)
  : Math.abs(value) >= 0.01 || value === 0 ? Number(value.toPrecision(3)).toString() : value.toExponential(1).replace("-", "−");

const last = (values) => values.findLastIndex((value) => value != null);

function axis(ink, rule, more) {
  return { stroke: ink, font: "12px Plex Sans, system-ui, sans-serif", grid: { stroke: rule, width: 1 }, ticks: { show: false }, gap: 8, ...more };
}

// Each line carries its name and newest value at its end, so that no legend has to be matched by colour.
function endLabels(plot, series) {
  const { ctx } = plot;
  const scale = window.devicePixelRatio;
  const marks = series.map((one, index) => ({ one, at: last(one.values), index })).filter(({ at }) => at >= 0).map(({ one, at, index }) => ({
    text: `${one.name} ${short(one.values[at])}`,
    x: plot.valToPos(plot.data[0].at(-1), "x", true), y: plot.valToPos(one.values[at], "y", true),
    fill: plot.series[index + 1].stroke(),
  })).sort((a, b) => a.y - b.y);
  const apart = 16 * scale;
  marks.forEach((mark, n) => { if (n && mark.y - marks[n - 1].y < apart) mark.y = marks[n - 1].y + apart; });
  const over = marks.length ? marks[marks.length - 1].y - (plot.bbox.top + plot.bbox.height) : 0;
  ctx.save();
  ctx.font = `500 ${12 * scale}px Plex Sans, system-ui, sans-serif`;
  ctx.textBaseline = "middle";
  for (const mark of marks) {
    const space = ctx.canvas.width - mark.x;
    ctx.textAlign = space > ctx.measureText(mark.text).width + 12 * scale ? "left" : "right";
    ctx.fillStyle = mark.fill;
    ctx.fillText(mark.text, mark.x + (ctx.textAlign === "left" ? 9 : -9) * scale, mark.y - Math.max(over, 0));
  }
  ctx.restore();
}

// Space at the right for the names, while the newest point stands near the end of the axis.
function room({ x, x_max: end }) {
  return end && x.at(-1) < 0.7 * end ? 14 : 110;
}

function nowLine(plot, { x, x_max: end }) {
  if (!end || x.at(-1) >= end) return;
  const { ctx, bbox } = plot;
  const at = Math.round(plot.valToPos(x.at(-1), "x", true));
  ctx.save();
  ctx.strokeStyle = colour("--control");
  ctx.lineWidth = window.devicePixelRatio;
  ctx.setLineDash([2 * ctx.lineWidth, 4 * ctx.lineWidth]);
  ctx.beginPath();
  ctx.moveTo(at, bbox.top);
  ctx.lineTo(at, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}

function readout(figure, plot, answer) {
  const at = plot.cursor.idx;
  const place = figure.querySelector(".readout");
  const item = (text, number) => {
    const span = document.createElement("span");
    span.textContent = text;
    if (number) span.className = `m${number}`;
    return span;
  };
  if (at == null) return place.replaceChildren();
  place.replaceChildren(
    item(`${answer.x_label ?? "step"} ${plot.data[0][at]}`),
    ...answer.series.filter((one) => one.values[at] != null).map((one) => item(`${one.name} ${short(one.values[at])}`, one.colour)),
  );
}

function draw(figure, answer) {
  const place = figure.querySelector(".plot");
  const ink = colour("--ink-3"), rule = colour("--rule"), surface = colour("--surface");
  const lines = answer.series.map((one) => {
    const stroke = colour(`--m${one.colour}`);
    return { label: one.name, stroke, width: one.points ? 2 : 1.5, spanGaps: true, points: { show: Boolean(one.points), size: 7, stroke, fill: surface, width: 1.6 } };
  });
  const options = {
    width: place.clientWidth, height: 264, padding: [16, room(answer), 0, 0], legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false }, points: { size: 6 } },
    scales: { x: { time: false, range: (_, low, high) => [low, Math.max(high, answer.x_max ?? high, low + 1)] } },
    axes: [axis(ink, rule, { label: answer.x_label ?? "step", labelFont: "12px Plex Sans, system-ui, sans-serif", labelSize: 20, size: 28, grid: { show: false } }),
      axis(ink, rule, { size: 46, values: (_, values) => values.map(short) })],
    series: [{}, ...lines],
    hooks: { draw: [(plot) => nowLine(plot, charts.get(figure).answer), (plot) => endLabels(plot, charts.get(figure).answer.series)], setCursor: [(plot) => readout(figure, plot, charts.get(figure).answer)] },
  };
  place.replaceChildren();
  return new window.uPlot(options, [answer.x, ...answer.series.map((one) => one.values)], place);
}

function show(figure, answer) {
  const state = charts.get(figure);
  const same = state.plot && state.answer.series.length === answer.series.length && state.answer.x_max === answer.x_max && room(state.answer) === room(answer);
  state.answer = answer;
  if (!answer.series.length || answer.x.length < 2) return;
  if (same) state.plot.setData([answer.x, ...answer.series.map((one) => one.values)]);
  else {
    state.plot?.destroy();
    state.plot = draw(figure, answer);
  }
}

async function ask(figure) {
  if (!figure.isConnected) return forget(figure);
  let live = figure.dataset.live === "true";
  if (!document.hidden) {
    try {
      const reply = await fetch(figure.dataset.seriesUrl, { headers: { Accept: "application/json" } });
      if (reply.ok) {
        const answer = await reply.json();
        live = answer.live ?? live;
        show(figure, answer);
      }
    } catch { /* the server is away for a moment; the next round asks again */ }
  }
  figure.dataset.live = String(live);
  if (live) charts.get(figure).timer = setTimeout(() => ask(figure), PERIOD);
}

function forget(figure) {
  clearTimeout(charts.get(figure)?.timer);
  charts.get(figure)?.plot?.destroy();
  charts.delete(figure);
}

function start() {
  for (const figure of charts.keys()) if (!figure.isConnected) forget(figure);
  for (const figure of document.querySelectorAll("[data-series-url]")) {
    if (charts.has(figure)) continue;
    charts.set(figure, { plot: null, answer: null, timer: 0 });
    new ResizeObserver(() => {
      const { plot } = charts.get(figure) ?? {};
      const width = figure.querySelector(".plot").clientWidth;
      if (plot && width && plot.width !== width) plot.setSize({ width, height: plot.height });
    }).observe(figure);
    ask(figure);
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const [figure, state] of charts) {
    if (!state.plot) continue;
    state.plot.destroy();
    state.plot = draw(figure, state.answer);
  }
});
document.addEventListener("htmx:after:swap", start);
document.fonts.ready.then(start);
