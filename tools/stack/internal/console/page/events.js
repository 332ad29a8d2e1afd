// The feed of events, and what consumers have read of them.

import { $, count, duration, el, hue, keyed, text, time } from "./dom.js";
import { send } from "./main.js";
import { expectTrace } from "./traces.js";

export function showEvents(events) {
  $("#events .empty").hidden = events.length > 0;
  $("#events .feed").hidden = events.length === 0;
  keyed($("#events .feed"), events, (e) => e.place, createEvent, updateEvent);
}

function createEvent(e) {
  const payload = JSON.stringify(e.data, null, 2) ?? "";
  return el("li", { className: hue(e.service) },
    el("details", {},
      el("summary", {},
        el("b", {}, e.event),
        el("time", { dateTime: e.at }, time(e.at)),
        el("span", { className: "handlers" })),
      el("pre", { tabIndex: 0 }, payload),
      el("p", { className: "meta" }, `${e.service} · key ${e.key}`),
      e.trace ? el("button", { type: "button", className: "link", onclick: () => expectTrace(e.trace) }, "Show its trace") : ""));
}

const marks = { done: "✓", failed: "✕", waiting: "…" };

function updateEvent(node, e) {
  text($("pre", node), JSON.stringify(e.data, null, 2) ?? "");
  keyed($(".handlers", node), e.handlers ?? [], (h) => h.service, (h) => el("span", { className: hue(h.service) }), (chip, h) => {
    chip.dataset.state = h.state;
    const took = h.state === "waiting" ? "waits" : `${h.state === "failed" ? "failed" : ""} ${duration(h.millis)}`.trim();
    text(chip, `${marks[h.state]} ${h.service} ${took}`);
  });
}

export function showStreams(snapshot) {
  const consumers = Map.groupBy(snapshot.streams ?? [], (s) => s.consumer);
  keyed($("#streams .list"), [...consumers], ([name]) => name, createConsumer, (node, [name, streams]) => {
    const { dead, parked, paused } = streams[0];
    node.dataset.state = dead ? "dead" : parked || paused ? "parked" : "";
    text($(".state", node), paused ? "paused" : dead ? "dead letters" : parked ? "retries" : "up to date");
    keyed($("tbody", node), streams, (s) => s.producer, (s) => el("tr", {},
      el("th", { scope: "row" }, s.producer), el("td"), el("td"), el("td"), el("td")), (row, s) => {
      const values = [s.partitions ? s.events : "–", s.partitions ? s.lag : "–", s.pending];
      values.forEach((v, i) => text(row.children[i + 1], v.toLocaleString("en")));
      text(row.children[4], String(s.partitions || "–"));
      row.children[2].className = s.lag > 0 ? "warn" : "";
    });
    text($(".parked", node), `${count(parked, "key")} parked`);
    text($(".dead", node), `${count(dead, "key")} dead`);
    $("button", node).hidden = dead === 0;
    keyed($("ul", node), (snapshot.dead ?? []).filter((d) => d.consumer === name), (d) => d.id, createDead);
  });
}

function createConsumer([name]) {
  const redrive = el("button", { type: "button", className: "quiet", hidden: true }, "Redrive all");
  redrive.setAttribute("aria-label", `Redrive all dead events of ${name}`);
  redrive.onclick = () => send("redrive", { service: name }, redrive);
  const columns = ["Producer", "Events", "Lag", "Pending", "Partitions"];
  return el("article", { className: "consumer " + hue(name) },
    el("h3", {}, el("span", {}, name), el("span", { className: "state" })),
    el("table", {},
      el("thead", {}, el("tr", {}, ...columns.map((c) => el("th", { scope: "col" }, c)))),
      el("tbody")),
    el("p", { className: "keys" }, el("span", { className: "parked" }), el("span", { className: "dead" }), redrive),
    el("ul"));
}

function createDead(d) {
  const redrive = el("button", { type: "button", className: "quiet" }, "Redrive");
  redrive.setAttribute("aria-label", `Redrive ${d.event} ${d.id}`);
  redrive.onclick = () => send("redrive", { service: d.consumer, id: d.id }, redrive);
  const trace = el("button", { type: "button", className: "link", onclick: () => expectTrace(d.traceId) }, "Show its trace");
  return el("li", {}, el("b", {}, d.event), redrive, el("p", {}, `${count(d.attempts, "attempt")}: ${d.error}`), d.traceId ? trace : "");
}
