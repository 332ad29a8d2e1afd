// The page of the console: it shows each snapshot that the server sends, and sends commands.

import { $, el, keyed, text } from "./dom.js";
import { showSystem } from "./system.js";
import { showEvents, showStreams } from "./events.js";
import { expectTrace, showTraces } from "./traces.js";

const token = location.hash.slice(1);
const status = $("#status");
let hideStatus;

// say shows what a command has done, for a while.
export function say(message, failed, trace) {
  status.replaceChildren(message);
  status.className = failed ? "failed" : "";
  if (trace) {
    status.append(el("button", { type: "button", className: "link", onclick: () => expectTrace(trace) }, "Show its trace"));
  }
  status.hidden = false;
  clearTimeout(hideStatus);
  hideStatus = setTimeout(() => (status.hidden = true), 12000);
}

// send sends a command of a button and shows its result.
export async function send(action, body, button) {
  button?.setAttribute("aria-busy", "true");
  try {
    const response = await fetch("do/" + action, {
      method: "POST",
      headers: { "X-Console-Token": token, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const result = await response.json();
    say(result.message, result.failed || !response.ok, result.trace);
    if (result.trace) expectTrace(result.trace);
  } catch {
    say("The console does not respond.", true);
  } finally {
    button?.removeAttribute("aria-busy");
  }
}

$("#actions").addEventListener("submit", (event) => {
  event.preventDefault();
  send("user", { name: $("#name").value.trim() }, event.submitter);
});
$("#actions").addEventListener("click", (event) => {
  const button = event.target.closest("button[type=button]");
  if (button?.dataset.action) send(button.dataset.action, {}, button);
  if (button?.dataset.run) send("run", { name: button.dataset.run }, button);
});

// showStory shows the steps of a demo, "1. title" and the lines below each, or what a load prints.
function showStory(lines) {
  const steps = [];
  const last = lines.at(-1) ?? "";
  for (const line of lines) {
    const title = /^(\d)\. (.*)/.exec(line);
    if (title) steps.push({ number: title[1], title: title[2][0].toUpperCase() + title[2].slice(1), lines: [] });
    else steps.at(-1)?.lines.push(line.trim().replace(/([0-9a-f]{8})-[0-9a-f-]{27}/g, "$1…"));
  }
  const over = last.startsWith("demo passed");
  const failed = lines.some((line) => line.startsWith("demo failed"));
  steps.forEach((step, i) => {
    step.state = i < steps.length - 1 || over ? "done" : failed ? "failed" : "now";
    step.lines = step.lines.filter((line) => !line.startsWith("demo "));
  });
  $("#story").hidden = lines.length === 0;
  text($("#story h2"), steps.length ? "Five steps" : "Load");
  $("#story ol").hidden = steps.length === 0;
  $("#story pre").hidden = steps.length > 0;
  text($("#story pre"), lines.join("\n"));
  keyed($("#story ol"), steps, (step) => step.number,
    () => el("li", {}, el("b"), el("p")),
    (node, step) => {
      node.className = step.state;
      text(node.firstChild, step.title);
      text(node.lastChild, step.lines.at(-1) ?? "");
      node.lastChild.title = step.lines.join("\n");
    });
}

function show(snapshot) {
  const where = snapshot.world === "docker" ? "containers" : "local processes";
  text($("#stack"), snapshot.problem ?? `${snapshot.stack} · ${where}`);
  $("#live").className = snapshot.problem ? "dot down" : "dot healthy";
  $("main").classList.toggle("stale", Boolean(snapshot.problem));
  if (snapshot.problem) return;
  for (const button of document.querySelectorAll("[data-run]")) {
    button.hidden = !snapshot.canned?.includes(button.dataset.run);
  }
  if (token) {
    text($("#notice"), snapshot.notice ?? "");
    $("#notice").hidden = !snapshot.notice;
  }
  showStory(snapshot.story ?? []);
  showSystem(snapshot);
  showEvents(snapshot.events ?? []);
  showStreams(snapshot);
  showTraces(snapshot);
}

if (!token) {
  $("#notice").textContent = "Read only: to use the buttons, open the address with the token, which the terminal shows.";
  $("#notice").hidden = false;
  for (const button of document.querySelectorAll("#actions button")) button.disabled = true;
}

let stream;

// connect opens the stream of a visible page: a browser has six connections to a host.
function connect() {
  if (document.hidden || (stream && stream.readyState !== EventSource.CLOSED)) return;
  stream = new EventSource("stream");
  stream.onmessage = (event) => show(JSON.parse(event.data));
  stream.onerror = () => {
    $("#live").className = "dot down";
    $("main").classList.add("stale");
    text($("#stack"), "the console does not respond; connecting …");
    // It connects again by itself, but not after a refusal.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  };
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) stream?.close();
  else connect();
});

requestAnimationFrame(() => setTimeout(connect)); // after the first paint
