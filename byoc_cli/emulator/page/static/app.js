// The frame: the list of all there is, what is chosen in it by the address (#/kind/name), and both kept up to date.
import { ago, duration, fill, get, h, isOver, spaced, status } from "./dom.js";
import { Endpoint, Home, TrainingJob, TransformJob } from "./pages.js";

const KINDS = {
  "training-jobs": ["Training jobs", "training job", TrainingJob],
  endpoints: ["Endpoints", "endpoint", Endpoint],
  "transform-jobs": ["Transform jobs", "transform job", TransformJob],
};
const EVERY = 1000;
const $ = (id) => document.getElementById(id);
const known = new Map();
let isListed = false;
let page = null;
let chosen = null;

function route() {
  const [, kind = "", name = ""] = location.hash.split("/").map(decodeURIComponent);
  const hash = `#/${kind}/${name}`;
  if (hash === chosen) return;
  const isFirst = chosen === null;
  chosen = hash;
  page?.close();
  page = kind in KINDS && name ? new KINDS[kind][2](name) : new Home();
  document.body.classList.toggle("is-home", page instanceof Home);
  document.title = name ? `${name} · byoc emulator` : "byoc emulator";
  $("main").replaceChildren(page.element);
  mark();
  // Who chose something is to read on there.
  if (!isFirst) $("main").focus();
  refresh();
}

function mark() {
  for (const link of $("nav").querySelectorAll("a")) {
    if (decodeURIComponent(link.hash) === chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function item(kind, { name, status: word, created, ended }) {
  const time = ended ? `took ${duration(ended - created)}` : ago(created);
  return h("li", {}, h("a", { href: `#/${kind}/${encodeURIComponent(name)}` }, h("span", { className: "name" }, name), status(word), h("span", { className: "quiet" }, time)));
}

function list(told) {
  for (const [kind, [title, what]] of Object.entries(KINDS)) {
    const id = `list-${kind}`;
    if (!$(id)) $("nav").append(h("section", {}, h("h2", {}, title), h("ul", { id })));
    const focused = document.activeElement?.closest?.(`#${id} a`)?.hash;
    const shown = told[kind].map((each) => [each.name, each.status, each.ended ? "" : ago(each.created)]);
    fill($(id), shown, () => (told[kind].length ? told[kind].map((each) => item(kind, each)) : h("li", { className: "quiet" }, "none yet")));
    if (focused) [...$(id).querySelectorAll("a")].find((link) => link.hash === focused)?.focus();
    announce(kind, what, told[kind]);
  }
  isListed = true;
  mark();
}

function announce(kind, what, items) {
  for (const { name, status: word } of items) {
    const key = `${kind}/${name}`, before = known.get(key);
    known.set(key, word);
    if (isListed && before !== word && isOver(word)) $("news").textContent = `${what} ${name}: ${spaced(word)}`;
  }
}

async function refresh() {
  const shown = page;
  try {
    const told = await get("overview");
    $("region").textContent = told.region;
    $("address").textContent = told.address;
    list(told);
    link("live");
    await shown.update();
  } catch (error) {
    if (shown === page) link(error instanceof TypeError ? "not reachable" : error.message);
  }
}

function link(word) {
  $("link").textContent = word;
  $("link").classList.toggle("is-live", word === "live");
}

async function keep() {
  if (!document.hidden) await refresh();
  setTimeout(keep, EVERY);
}

addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
route();
keep();
