// Elements, requests and the way times are written. Text is always set as text, never as markup.

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list" && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export async function get(path) {
  const answer = await fetch(`/_byoc/api/${path}`, { headers: { Accept: "application/json" } });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error);
  return told;
}

// Replaces what an element holds, if it is to hold something else: what is the same keeps its focus and selection.
export function fill(element, key, make) {
  const text = JSON.stringify(key);
  if (element.dataset.key === text) return;
  element.dataset.key = text;
  element.replaceChildren(...[make()].flat(Infinity).filter(Boolean));
}

const MARKS = {
  Completed: ["good", "✓"], InService: ["good", "✓"], Failed: ["bad", "✕"], OutOfService: ["bad", "✕"],
  Stopped: ["off", "■"], UpdateRollbackFailed: ["bad", "✕"],
};

export function status(word) {
  const [kind, mark] = MARKS[word] ?? ["busy", "●"];
  return h("span", { className: `status ${kind}` }, h("span", { "aria-hidden": "true" }, mark), ` ${spaced(word)}`);
}

export const isOver = (word) => word in MARKS;

export const spaced = (word) => word.replace(/([a-z])([A-Z])/g, (_, before, after) => `${before} ${after.toLowerCase()}`);

export function duration(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function ago(time) {
  const seconds = Date.now() / 1000 - time;
  if (seconds < 5) return "now";
  if (seconds < 60) return `${Math.round(seconds)} s ago`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(time * 1000).toLocaleDateString();
}

export const number = (value) =>
  Number.isInteger(value) ? String(value) : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6 ? String(+value.toPrecision(6)) : value.toExponential(3);

// A list of terms and what they are; those without a value are left out.
export function facts(pairs) {
  return h("dl", { className: "facts" }, pairs
    .filter(([, value]) => value !== undefined && value !== null && value !== "")
    .map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}

export function table(head, rows, caption) {
  return h("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("thead", {}, h("tr", {}, head.map((each) => h("th", { scope: "col" }, each)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((each) => h("td", {}, each)))))));
}

export const card = (title, ...children) => h("section", { className: "card" }, h("h2", {}, title), ...children);
