// A training job's metrics, drawn as they come: a tile for each, a chart for all that share a name after the colon.
import { card, fill, get, h, number, table } from "./dom.js";

const HEIGHT = 200;
const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3]];
const MOST_ROWS = 500;

const tone = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const family = (metric) => metric.slice(metric.lastIndexOf(":") + 1);

export class Charts {
  constructor(job) {
    this.job = job;
    this.from = 0;
    this.series = new Map();
    this.charts = new Map();
    this.start = null;
    this.tiles = h("div", { className: "tiles" });
    this.plots = h("div", { className: "plots" });
    this.values = h("div");
    this.empty = h("p", { className: "quiet" }, "None so far: a metric is what one of the job's MetricDefinitions finds in its log.");
    this.all = h("details", { hidden: true, ontoggle: () => this.list() }, h("summary", {}, "All values"), this.values);
    this.element = card("Metrics", this.empty, this.tiles, this.plots, this.all);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.repaint = () => this.charts.forEach((chart) => chart.plot.redraw());
    this.scheme.addEventListener("change", this.repaint);
    this.sizes = new ResizeObserver(() => this.charts.forEach((chart) => chart.plot.setSize({ width: this.width(chart), height: HEIGHT })));
    this.sizes.observe(this.plots);
  }

  width(chart) {
    return Math.max(160, chart.box.clientWidth);
  }

  async update() {
    const { from } = this;
    const { points, next } = await get(`metrics/${encodeURIComponent(this.job)}?from=${from}`);
    // Another call was quicker.
    if (!points.length || from !== this.from) return;
    this.from = next;
    for (const { name, value, time } of points) {
      this.start ??= time;
      if (!this.series.has(name)) this.series.set(name, { times: [], values: [] });
      const series = this.series.get(name);
      series.times.push(time - this.start);
      series.values.push(value);
    }
    this.empty.hidden = true;
    this.all.hidden = false;
    this.draw();
    this.list();
  }

  draw() {
    fill(this.tiles, [...this.series].map(([name, { values }]) => [name, values.length, values.at(-1)]), () =>
      [...this.series].map(([name, { values }]) => h("div", { className: "tile" }, h("span", { className: "label" }, name),
        h("strong", {}, number(values.at(-1))), h("span", { className: "quiet" }, values.length > 1 ? this.change(values) : " "))));
    const families = new Map();
    for (const name of this.series.keys()) families.set(family(name), [...(families.get(family(name)) ?? []), name]);
    for (const [title, names] of families) {
      if (names.some((name) => this.series.get(name).values.length > 1)) this.plot(title, names);
    }
  }

  change(values) {
    const low = Math.min(...values), high = Math.max(...values);
    return `${number(low)} to ${number(high)}, ${values.length} points`;
  }

  plot(title, names) {
    let chart = this.charts.get(title);
    if (chart?.names.length !== names.length) {
      chart?.plot.destroy();
      chart?.figure.remove();
      chart = this.make(title, names);
      this.charts.set(title, chart);
    }
    // By number, not by time: lines that were read together have the same.
    const all = names.map((name) => this.series.get(name).values);
    const count = Math.max(...all.map((values) => values.length));
    const steps = Array.from({ length: count }, (_, index) => index + 1);
    chart.plot.setData([steps, ...all.map((values) => steps.map((step) => values[step - 1] ?? null))]);
    chart.box.setAttribute("aria-label", names.map((name) => {
      const { values } = this.series.get(name);
      return `${name}: from ${number(values[0])} to ${number(values.at(-1))} in ${values.length} points`;
    }).join("; "));
  }

  make(title, names) {
    const box = h("div", { className: "plot", role: "img" });
    const keys = names.map((name, index) => h("span", { className: `key key-${index % 4}` }, name));
    const figure = h("figure", {}, h("figcaption", {}, h("b", {}, title), h("span", { className: "keys" }, keys)), box);
    this.plots.append(figure);
    const axis = { stroke: () => tone("--quiet"), grid: { stroke: () => tone("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const plot = new uPlot({
      width: Math.max(160, box.clientWidth), height: HEIGHT, legend: { show: false }, cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: false } },
      axes: [{ ...axis, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick : "")) }, { ...axis, size: 60 }],
      series: [{}, ...names.map((name, index) => ({
        label: name, stroke: () => tone(`--series-${index % 4}`), width: 2, dash: DASHES[index % 4], spanGaps: true,
        points: { show: (self) => self.data[0].length < 40, size: 6 },
      }))],
    }, [[], ...names.map(() => [])], box);
    return { plot, figure, box, names };
  }

  list() {
    if (!this.all.open) return;
    const rows = [...this.series].flatMap(([name, { times, values }]) =>
      values.map((value, index) => [name, `${times[index].toFixed(2)} s`, number(value)])).slice(-MOST_ROWS);
    this.values.replaceChildren(table(["metric", "time", "value"], rows, "Values of the metrics"));
  }

  close() {
    this.scheme.removeEventListener("change", this.repaint);
    this.sizes.disconnect();
    this.charts.forEach((chart) => chart.plot.destroy());
  }
}
