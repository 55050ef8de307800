// The logs of a job or an endpoint: a stream at a time, its end first, followed as it grows.
import { fill, get, h } from "./dom.js";

const MOST_LINES = 2000;

export class Logs {
  constructor(prefix) {
    this.prefix = prefix;
    this.streams = [];
    this.stream = "";
    this.from = -1;
    this.choice = h("select", { onchange: () => this.open(this.choice.value) });
    this.follow = h("input", { type: "checkbox", checked: true, onchange: () => this.scroll() });
    this.lines = h("pre", { className: "log", tabIndex: 0, role: "log", "aria-live": "off", "aria-label": "Log lines" });
    this.empty = h("p", { className: "quiet" }, "Nothing has been written yet.");
    this.controls = h("div", { className: "controls", hidden: true }, h("label", {}, "Stream ", this.choice), h("label", {}, this.follow, " Follow"));
    this.element = h("section", { className: "card" }, h("h2", {}, "Logs"), this.controls, this.empty, this.lines);
    this.lines.hidden = true;
  }

  async update() {
    const { streams } = await get(`logs?prefix=${encodeURIComponent(this.prefix)}`);
    fill(this.choice, streams, () => streams.map((name) => h("option", { value: name }, this.short(name))));
    this.controls.hidden = !streams.length;
    if (!this.stream && streams.length) this.open(streams[0]);
    this.choice.value = this.stream;
    if (this.stream) await this.read();
  }

  short(name) {
    return name.slice(this.prefix.length).replace(/^[-/]/, "") || name;
  }

  open(stream) {
    this.stream = stream;
    this.from = -1;
    this.lines.replaceChildren();
    this.read().catch(() => {});
  }

  async read() {
    const { stream, from } = this;
    const { lines, next } = await get(`log?stream=${encodeURIComponent(stream)}&from=${from}`);
    // Another read, or another stream, was quicker.
    if (stream !== this.stream || from !== this.from) return;
    this.from = next;
    if (!lines.length) return;
    this.lines.append(...lines.map(({ text, level }) => h("span", { className: `line ${/^[a-z]+$/.test(level) ? level : ""}` }, `${text}\n`)));
    while (this.lines.childElementCount > MOST_LINES) this.lines.firstElementChild.remove();
    this.empty.hidden = true;
    this.lines.hidden = false;
    this.scroll();
  }

  scroll() {
    if (this.follow.checked) this.lines.scrollTop = this.lines.scrollHeight;
  }

  close() {}
}
