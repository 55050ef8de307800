// The "try it" form of an endpoint: a field for each of the model's columns, or a body of any type, sent as everybody's
// requests are: to the endpoint's own address.
import { card, get, h, number, table } from "./dom.js";

const TYPES = ["text/csv", "application/json", "application/jsonlines", "text/libsvm", "application/octet-stream"];
const SHOWN = 20000;

export class TryIt {
  constructor(endpoint) {
    this.endpoint = endpoint;
    this.times = [];
    this.inside = h("div", {}, h("p", { className: "quiet" }, "Once the endpoint is in service, you can ask it here."));
    this.answer = h("div", { className: "answer", "aria-live": "polite", id: "answer" });
    this.element = card("Try it", this.inside, this.answer);
    this.isReady = false;
  }

  async update(described) {
    if (this.isReady || described.EndpointStatus !== "InService") return;
    this.isReady = true;
    try {
      this.build(await get(`endpoints/${encodeURIComponent(this.endpoint)}/form`));
    } catch (error) {
      this.isReady = false;
      throw error;
    }
  }

  build(told) {
    this.fields = told.fields;
    if (told.is_async) {
      this.inside.replaceChildren(h("p", {}, "This endpoint is asynchronous: InvokeEndpointAsync asks it, with objects on S3."));
      return;
    }
    const modes = h("fieldset", { className: "modes" }, h("legend", { className: "unseen" }, "What to send"),
      this.mode("row", "A row"), this.mode("body", "A body"));
    this.row = this.rowForm();
    this.body = this.bodyForm();
    this.variant = told.variants.length > 1 ? h("select", {}, h("option", { value: "" }, "by weight"), told.variants.map((each) => h("option", { value: each }, each))) : null;
    this.target = told.is_multi ? h("input", { placeholder: "model.tar.gz", required: true }) : null;
    this.button = h("button", { type: "submit", className: "main" }, "Predict");
    const form = h("form", { onsubmit: (event) => this.submit(event), autocomplete: "off" },
      this.fields.length ? modes : h("p", { className: "quiet" }, "The model tells no columns (GET /model/schema), so you write the body yourself."),
      this.row, this.body,
      h("div", { className: "controls" }, this.variant && h("label", {}, "Variant ", this.variant), this.target && h("label", {}, "Target model ", this.target),
        this.button, h("button", { type: "reset" }, "Start over"), h("span", { className: "quiet" }, `POST /endpoints/${this.endpoint}/invocations`)));
    this.inside.replaceChildren(form);
    this.show(this.fields.length ? "row" : "body");
  }

  mode(value, label) {
    return h("label", {}, h("input", { type: "radio", name: "mode", value, defaultChecked: value === "row", onchange: () => this.show(value) }), ` ${label}`);
  }

  show(mode) {
    this.sends = mode;
    this.row.hidden = mode !== "row";
    this.body.hidden = mode !== "body";
  }

  rowForm() {
    this.inputs = this.fields.map(({ name, type, example }, index) => {
      const id = `field-${index}`;
      const input = type === "Bool"
        ? h("select", { id }, ["true", "false", ""].map((each) => h("option", { value: each, defaultSelected: each === String(example) }, each || "missing")))
        : h("input", { id, defaultValue: example, inputMode: /^(Int|Float)/.test(type) ? "decimal" : "text" });
      return [h("div", { className: "field" }, h("label", { htmlFor: id }, name, h("small", {}, ` ${type}`)), input), input];
    });
    return h("div", { className: "fields", role: "group", "aria-label": "A row" }, this.inputs.map(([field]) => field));
  }

  bodyForm() {
    const list = h("datalist", { id: "media-types" }, TYPES.map((each) => h("option", { value: each })));
    const row = this.fields.map(({ example }) => example).join(",");
    this.type = h("input", { defaultValue: "text/csv", list: "media-types" });
    this.accept = h("input", { defaultValue: "application/json", list: "media-types" });
    this.text = h("textarea", { rows: 5, spellcheck: false, defaultValue: row && `${row}\n` });
    return h("div", {}, list, h("div", { className: "controls" }, h("label", {}, "Content type ", this.type), h("label", {}, "Accept ", this.accept)),
      h("label", { className: "wide" }, "Body", this.text));
  }

  request() {
    const headers = this.sends === "row"
      ? { "Content-Type": "application/json", Accept: "application/json" }
      : { "Content-Type": this.type.value, Accept: this.accept.value };
    if (this.variant?.value) headers["X-Amzn-SageMaker-Target-Variant"] = this.variant.value;
    if (this.target) headers["X-Amzn-SageMaker-Target-Model"] = this.target.value;
    const row = { fields: this.fields.map(({ name }) => name), rows: [this.inputs.map(([, input]) => input.value)] };
    return { method: "POST", headers, body: this.sends === "row" ? JSON.stringify(row) : this.text.value };
  }

  async submit(event) {
    event.preventDefault();
    this.button.disabled = true;
    const start = performance.now();
    try {
      const answer = await fetch(`/endpoints/${encodeURIComponent(this.endpoint)}/invocations`, this.request());
      const text = await answer.text();
      this.tell(answer, text, performance.now() - start);
    } catch (error) {
      this.answer.replaceChildren(h("p", { className: "failure" }, `No answer came: ${error.message}`));
    } finally {
      this.button.disabled = false;
      this.button.focus();
    }
  }

  tell(answer, text, milliseconds) {
    const head = h("p", {}, h("span", { className: `status ${answer.ok ? "good" : "bad"}` }, `${answer.status} ${answer.ok ? "OK" : answer.headers.get("x-amzn-errortype") ?? ""}`),
      " in ", h("strong", { className: "latency" }, `${milliseconds.toFixed(1)} ms`), answer.ok && this.summary(milliseconds));
    let told = null;
    try { told = JSON.parse(text); } catch { /* It is shown as it is. */ }
    const pretty = told === null ? text : JSON.stringify(told, null, 2);
    const raw = h("pre", { tabIndex: 0, "aria-label": "The answer's body" }, pretty.slice(0, SHOWN));
    if (!answer.ok) this.answer.replaceChildren(head, h("p", { className: "failure" }, this.reason(told) ?? text.slice(0, SHOWN)));
    else if (Array.isArray(told?.fields) && told.score?.length === 1) this.answer.replaceChildren(head, scores(told), h("details", {}, h("summary", {}, "The answer's body"), raw));
    else this.answer.replaceChildren(head, raw);
  }

  // The container's own words, where the error has them.
  reason(told) {
    const original = told?.OriginalMessage;
    try { return JSON.parse(original).error.message; } catch { return original || told?.Message || told?.message; }
  }

  summary(milliseconds) {
    this.times.push(milliseconds);
    if (this.times.length < 2) return null;
    const sorted = [...this.times].sort((one, other) => one - other);
    return h("span", { className: "quiet" }, ` (of ${sorted.length} calls: median ${sorted[Math.floor((sorted.length - 1) / 2)].toFixed(1)} ms, slowest ${sorted.at(-1).toFixed(1)} ms)`);
  }

  close() {}
}

// One row's predictions; what may be a probability has a bar.
function scores({ fields, score: [values] }) {
  return table(["output", "value", ""], fields.map((name, index) => {
    const value = values[index], asNumber = value === "" || value === null ? Number.NaN : Number(value);
    const isShare = asNumber >= 0 && asNumber <= 1;
    return [name, h("b", {}, Number.isNaN(asNumber) ? String(value) : number(asNumber)), isShare ? h("meter", { min: 0, max: 1, value: asNumber, "aria-label": name }) : ""];
  }), "Predictions");
}
