// The map of the system: services, what flows between them, circuit breakers.

import { $, duration, el, hue, keyed, rate, text } from "./dom.js";
import { say, send } from "./main.js";

let last;

export function showSystem(snapshot) {
  last = snapshot;
  keyed($("#services"), ordered(snapshot.services ?? []), (s) => s.name, createService, updateService);
  const requests = edges().filter((e) => e.from === "client").reduce((sum, e) => sum + e.rate, 0);
  text($("#client span"), `${rate(requests)} requests/s`);
  const redis = (snapshot.stores ?? []).find((s) => s.name === "redis");
  const published = edges().filter((e) => e.to === "redis").reduce((sum, e) => sum + e.rate, 0);
  $("#redis .dot").className = "dot " + health(redis?.state);
  text($("#redis span:last-child"), redis?.state && redis.state !== "ready" ? redis.state : `${rate(published)} events/s`);
  draw();
}

// ordered puts a service that calls others first, and next to it those that it calls.
function ordered(services) {
  const calls = (last.breakers ?? []);
  const weight = (s) => (calls.some((b) => b.service === s.name) ? 0 : calls.some((b) => b.target === s.name) ? 1 : 2);
  return services.toSorted((a, b) => weight(a) - weight(b) || a.name.localeCompare(b.name));
}

const health = (state) => ({ ready: "healthy", exited: "down" })[state] ?? state ?? "";

function createService(service) {
  const node = el("article", { className: "service node " + hue(service.name), id: "service-" + service.name },
    el("h3", {}, el("span", { className: "dot" }), el("span", {}, service.name)),
    el("p", { className: "state" }, el("span"), el("span", { className: "wide" })),
    el("dl", {}, ...["req/s", "mean", "errors/s"].map((name) => el("div", {}, el("dt", {}, name), el("dd")))),
    el("p", { className: "store" }, el("span", { className: "dot" }), el("b", {}, "Postgres"), el("span")),
    el("p", { className: "control" }));
  return node;
}

function updateService(node, s) {
  node.dataset.health = s.health;
  $(".dot", node).className = "dot " + s.health;
  const running = s.instances.filter((i) => i.state === "ready").length;
  const memory = s.instances.reduce((sum, i) => sum + (i.rss ?? 0), 0);
  const many = s.instances.length > 1;
  text($(".state", node).firstChild, many ? `${s.health}, ${running} of ${s.instances.length}` : s.health);
  const facts = [many ? "" : running ? "1 instance" : s.instances[0]?.detail, memory && `${Math.round(memory / 1048576)} MiB`];
  text($(".state", node).lastChild, facts.filter(Boolean).map((fact) => " · " + fact).join(""));
  node.title = s.instances.map((i) => `${i.name}: ${i.state}${i.pid ? `, pid ${i.pid}` : ""}${i.port ? `, port ${i.port}` : ""}`).join("\n");
  const up = s.health !== "down" && s.health !== "paused";
  const values = [rate(s.rate), s.rate ? duration(s.millis) : "–", rate(s.errors)];
  node.querySelectorAll("dd").forEach((dd, i) => text(dd, up ? values[i] : "–"));
  node.querySelectorAll("dd")[2].className = s.errors > 0 ? "bad" : "";
  const stores = last.stores ?? [];
  const store = stores.find((p) => p.name === s.name + "-db") ?? stores.find((p) => p.name === "postgres");
  $(".store .dot", node).className = "dot " + health(store?.state ?? (s.poolMax ? "ready" : ""));
  text($(".store span:last-child", node), up && s.poolMax ? `${s.poolUsed}/${s.poolMax}` : "");
  keyed($(".control", node), verbs(s), (v) => v.verb, (v) => controlButton(s.name, v));
}

// verbs returns what can be done to a service, and how compose does it.
function verbs(s) {
  const all = [];
  const states = s.instances.map((i) => i.state);
  if (states.includes("exited")) all.push({ label: "Restore", verb: "start" });
  if (states.includes("paused")) all.push({ label: "Restore", verb: "resume", compose: "unpause" });
  if (states.includes("ready") || !last.control) all.push({ label: "Kill", verb: "kill" }, { label: "Pause", verb: "pause" });
  return all;
}

// controlButton controls a service, or copies the command that does.
function controlButton(service, { label, verb, compose }) {
  const command = `docker compose ${compose ?? verb} ${service}`;
  const copies = !last.control;
  const button = el("button", { type: "button", className: "quiet " + verb }, copies ? label + " ⧉" : label);
  button.setAttribute("aria-label", copies ? `${label} ${service}: copy the command` : `${label} ${service}`);
  button.onclick = async () => {
    if (!copies) return send("control", { verb, name: service }, button);
    await navigator.clipboard?.writeText(command).catch(() => {}); // it is shown, too
    say(`Copied: ${command}`);
  };
  return button;
}

const edges = () => last.edges ?? [];

function breakerOf(e) {
  const all = (last.breakers ?? []).filter((b) => b.service === e.from && b.target === e.to);
  const worst = ["OPEN", "HALF_OPEN", "CLOSED"].map((state) => all.find((b) => b.state === state)).find(Boolean);
  return worst && { ...worst, of: all.length };
}

// draw connects the nodes where they are now.
function draw() {
  const map = $("#map").getBoundingClientRect();
  const box = (name) => {
    const r = $(name === "client" || name === "redis" ? "#" + name : "#service-" + name)?.getBoundingClientRect();
    return r && { left: r.left - map.left, right: r.right - map.left, top: r.top - map.top, bottom: r.bottom - map.top };
  };
  const drawn = edges().map((e) => ({ ...e, key: `${e.from} ${e.to}`, breaker: breakerOf(e), ...route(e, box) })).filter((e) => e.d);
  $("#wires").setAttribute("viewBox", `0 0 ${map.width} ${map.height}`);
  keyed($("#wires"), drawn, (e) => e.key, () => el("path"), (node, e) => {
    node.setAttribute("d", e.d);
    const state = e.breaker?.state === "OPEN" ? "open" : e.failed > 0 ? "failing" : e.rate > 0 ? "flows" : "";
    node.setAttribute("class", `${e.kind} ${state}`);
  });
  keyed($("#labels"), drawn.filter((e) => e.breaker || e.rate > 0), (e) => e.key, () => el("span"), (node, e) => {
    node.className = "label " + (e.breaker ? "breaker " + e.breaker.state : e.kind);
    node.style.left = e.x + "px";
    node.style.top = e.y + "px";
    let label = `${rate(e.rate)}/s`;
    if (e.breaker) {
      node.title = `circuit breaker of ${e.from} for ${e.to}: ${e.breaker.state}, ${label}`;
      const left = e.breaker.state === "OPEN" && e.breaker.cooldown > 0 ? ` ${Math.ceil(e.breaker.cooldown)} s` : "";
      const shown = e.rate > 0 && e.breaker.state === "CLOSED" && !e.below ? ` ${label}` : "";
      label = e.breaker.state + (left || shown);
    }
    text(node, label);
  });
}

// route returns the path of an edge and the place of its label.
function route(e, box) {
  const from = box(e.from), to = box(e.to);
  if (!from || !to) return {};
  const middle = (b) => (b.left + b.right) / 2;
  const line = (x, y1, y2) => ({ d: `M${x} ${y1}V${y2}`, x, y: Math.abs(y2 - y1) > 60 ? Math.max(y1, y2) - 22 : (y1 + y2) / 2 });
  if (e.from === "client") return line(middle(to), from.bottom, to.top);
  const service = e.to === "redis" ? from : to;
  const aside = (service.right - service.left) / 5;
  if (e.to === "redis") return line(middle(from) - aside, from.bottom, to.top);
  if (e.from === "redis") return line(middle(to) + aside, from.top, to.bottom);
  const [a, b] = from.left < to.left ? [from, to] : [to, from];
  if (b.left - a.right > 60 && b.left - a.right < 200) {
    const y = a.top + 34;
    return { d: from === a ? `M${a.right} ${y}H${b.left}` : `M${b.left} ${y}H${a.right}`, x: (a.right + b.left) / 2, y };
  }
  const [x1, x2] = from === a ? [a.right - 14, b.left + 14] : [b.left + 14, a.right - 14];
  const y = a.bottom, deep = y + 26;
  return { d: `M${x1} ${y}C${x1} ${deep} ${x2} ${deep} ${x2} ${y}`, x: (x1 + x2) / 2, y: y + 20, below: true };
}

new ResizeObserver(() => last && draw()).observe($("#map"));
