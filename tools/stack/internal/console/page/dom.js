// Elements, without HTML in texts: whatever a service sends stays text.

const svg = "http://www.w3.org/2000/svg";

export const $ = (selector, within = document) => within.querySelector(selector);

// el returns an element. Properties with a dash, and those of SVG, are attributes.
export function el(tag, properties = {}, ...children) {
  const node = tag === "path" ? document.createElementNS(svg, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || tag === "path") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

// text changes a node's text, if it differs: a selection in it stays.
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

// keyed shows items as the children of a parent. It keeps the nodes of items that stay, so
// that focus and opened details stay.
export function keyed(parent, items, keyOf, create, update) {
  const nodes = (parent.nodesByKey ??= new Map());
  const seen = new Set();
  let place = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    seen.add(key);
    let node = nodes.get(key);
    if (!node) nodes.set(key, (node = create(item)));
    update?.(node, item);
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
  for (const [key, node] of nodes) {
    if (!seen.has(key)) {
      node.remove();
      nodes.delete(key);
    }
  }
}

const names = [];

// hue returns the class that colours a service.
export function hue(service) {
  if (!names.includes(service)) names.push(service);
  return "hue" + (names.indexOf(service) % 4);
}

export function count(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

export function rate(n) {
  return n === 0 ? "0" : n < 10 ? n.toFixed(1) : Math.round(n).toLocaleString("en");
}

export function duration(ms) {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 1e5) return `${(ms / 1000).toFixed(1)} s`;
  const [unit, size] = [["days", 864e5], ["h", 36e5], ["min", 6e4]].find(([, size]) => ms >= size);
  return `${Math.round(ms / size)} ${unit}`;
}

export function time(at, digits = 3) {
  const date = new Date(at);
  const two = (n) => String(n).padStart(2, "0");
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return digits ? `${clock}.${String(date.getMilliseconds()).padStart(3, "0")}` : clock;
}
