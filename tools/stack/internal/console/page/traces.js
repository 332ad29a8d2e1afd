// The last traces, and the waterfall of one of them with its log lines.

import { $, count, duration, el, hue, keyed, text, time } from "./dom.js";

let selected; // the id of the trace that is shown
let shown = ""; // its id and number of spans
let last = [];
let control = true; // without it, the console cannot read logs

// expectTrace selects a trace, whose spans may not have arrived yet.
export function expectTrace(id) {
  selected = id.replaceAll("-", "");
  shown = "";
  refresh();
}

export function showTraces(snapshot) {
  last = snapshot.traces ?? [];
  control = snapshot.control;
  const empty = $("#traces .empty");
  empty.hidden = last.length > 0;
  $("#traces .split").hidden = last.length === 0;
  if (!snapshot.receiver) empty.textContent = "This console does not receive traces.";
  keyed($("#traces .list"), last, (t) => t.id, createSummary, (node, t) => {
    const button = node.firstChild;
    button.setAttribute("aria-pressed", String(t.id === selected));
    button.dataset.failed = t.failed;
    text($(".took", button), duration(t.millis));
    text($(".spans", button), count(t.spans, "span"));
    keyed($(".services", button), t.services ?? [], (s) => s, (s) => el("i", { className: hue(s), title: s }));
  });
  selected ??= last.toSorted((a, b) => b.spans - a.spans)[0]?.id; // the most to see
  refresh();
}

function createSummary(t) {
  return el("li", {},
    el("button", { type: "button", onclick: () => expectTrace(t.id) },
      el("b", {}, t.name), el("span", { className: "took" }),
      el("span", { className: "meta" }, el("time", { dateTime: t.at }, time(t.at, 0)), el("span", { className: "spans" }), el("span", { className: "services" }))));
}

// refresh reads the selected trace when it has more spans than are shown.
async function refresh() {
  const summary = last.find((t) => t.id === selected);
  const want = summary && `${selected} ${summary.spans}`;
  if (!want || want === shown) return;
  shown = want;
  for (const node of document.querySelectorAll("#traces .list button")) node.setAttribute("aria-pressed", "false");
  const response = await fetch("traces/" + selected);
  if (response.ok && shown === want) showTrace(await response.json());
}

function showTrace(trace) {
  const total = Math.max(trace.millis, 0.001);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => el("span", {}, part ? duration(total * part) : "0"));
  const logs = trace.logs.map(logLine);
  $("#trace").replaceChildren(
    el("h3", {}, el("b", {}, trace.name), el("span", { className: "took" }, duration(trace.millis))),
    el("p", { className: "meta" }, el("code", {}, trace.id)),
    el("div", { className: "ticks", "aria-hidden": "true" }, ...ticks),
    el("ol", { className: "waterfall" }, ...trace.tree.map((s) => spanRow(s, total))),
    el("h4", {}, "Log lines"),
    logs.length ? el("ol", { className: "logs" }, ...logs)
      : el("p", { className: "meta" }, control ? "None at this level; LOG_LEVEL=debug writes one for each request."
        : el("code", {}, `docker compose logs | grep ${trace.id}`)));
}

function spanRow(s, total) {
  const bar = el("i");
  bar.style.left = `${Math.min(Math.max((s.offset / total) * 100, 0), 99.5)}%`;
  bar.style.width = `${Math.min((s.millis / total) * 100, 100)}%`;
  const name = el("span", { className: "name" }, el("em", {}, label(s)), s.name);
  name.style.paddingLeft = `${Math.min(s.depth, 8) * 0.85}rem`;
  const facts = Object.entries(s.attributes).sort().flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]);
  return el("li", { className: hue(s.service) },
    el("details", { "data-failed": s.failed, "data-kind": label(s) },
      el("summary", {}, name, el("span", { className: "track" }, bar), el("span", { className: "took" }, duration(s.millis))),
      el("dl", {}, el("dt", {}, "service"), el("dd", {}, s.service), ...facts)));
}

// label returns what a span is about.
function label(s) {
  const has = (prefix) => Object.keys(s.attributes).some((name) => name.startsWith(prefix));
  if (s.attributes["db.system.name"] === "redis" || s.attributes["db.system"] === "redis") return "Redis";
  if (has("db.")) return "SQL";
  if (s.kind === "consumer" || s.kind === "producer" || has("messaging.")) return "event";
  if (s.kind === "server" || s.kind === "client") return "HTTP";
  return s.kind;
}

function logLine({ part, text: line }) {
  let fields;
  try {
    fields = JSON.parse(line);
  } catch {
    return el("li", {}, el("span", {}, part), line);
  }
  const { time: at, level, msg, service, trace_id, x_trace_id, span_id, request_id, ...rest } = fields;
  const facts = Object.entries(rest).map(([k, v]) => `${k}=${typeof v === "object" ? JSON.stringify(v) : v}`).join(" ");
  return el("li", { "data-level": level }, el("time", { dateTime: at }, time(at)), el("em", {}, level ?? ""),
    el("span", { className: hue(part) }, part), el("b", {}, msg ?? ""), el("span", {}, facts));
}
