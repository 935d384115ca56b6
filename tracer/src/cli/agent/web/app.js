"use strict";
// Everything that is shown comes from the network: it becomes text nodes, never markup.

const REFRESH = 10_000;
const SVG = "http://www.w3.org/2000/svg";
const state = { minutes: 10, pod: null, open: new Set(), evidence: new Set(), touched: false };

const byId = (id) => document.getElementById(id);

function element(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key === "data" || key === "aria") {
      for (const [part, text] of Object.entries(value)) made.setAttribute(`${key}-${part}`, text);
    } else {
      made[key] = value;
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function drawn(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const milliseconds = (nanoseconds) => (nanoseconds / 1e6).toFixed(2) + " ms";
const minute = (unixSeconds) =>
  new Date(unixSeconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const second = (unixNanoseconds) => new Date(unixNanoseconds / 1e6).toLocaleTimeString([], { hourCycle: "h23" });
const count = (number, one, many) => `${number.toLocaleString()} ${number === 1 ? one : many}`;

async function get(path, parameters) {
  const query = new URLSearchParams(parameters).toString();
  const answer = await fetch(query ? `${path}?${query}` : path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${(await answer.text()).trim()}`);
  return answer.json();
}

/** A bar of the stages' shares; empty when nothing took time. */
function bar(names, stages) {
  const total = stages.reduce((sum, stage) => sum + stage, 0);
  const made = element("div", { className: "stages" });
  const said = [];
  names.forEach((name, at) => {
    if (stages[at] <= 0) return;
    const percent = (100 * stages[at] / total).toFixed(1);
    const part = element("i", { className: name, title: `${name} ${percent} %` });
    part.style.flex = String(stages[at] / total);
    made.append(part);
    said.push(`${name} ${percent} %`);
  });
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", said.join(", ") || "no requests");
  return made;
}

/** What a pod answered within the minutes that are shown. */
function sums(pod, names) {
  const sum = { requests: 0, slowest: 0, stages: names.map(() => 0) };
  for (const entry of pod.breakdown) {
    sum.requests += entry.requests;
    sum.slowest = Math.max(sum.slowest, entry.slowest_ns);
    entry.stages_ns.forEach((stage, at) => { sum.stages[at] += stage; });
  }
  sum.total = sum.stages.reduce((all, stage) => all + stage, 0);
  return sum;
}

function showLegend(names) {
  byId("legend").replaceChildren(...names.map((name) =>
    element("span", {}, element("span", { className: `key ${name}` }), name)));
}

function showPods(pods, names, severities) {
  const head = element("div", { className: "pod head" },
    ...[["name", "pod"], ["number", "requests"], ["number", "mean"], ["number", "slowest"], ["", "breakdown"]]
      .map(([className, text]) => element("span", { className }, text)));
  const rows = pods.map(({ pod, sum }) => {
    const number = (label, text) => element("span", { className: "number", data: { label } }, text);
    const worst = pod.findings.length === 0 ? null : element("span",
      { className: `badge ${severities.get(pod.pod) || ""}`, title: pod.findings.join(", ") },
      count(pod.findings.length, "finding", "findings"));
    const row = element("button",
      { type: "button", className: "pod", aria: { pressed: String(pod.pod === state.pod) }, data: { pod: pod.pod } },
      element("span", { className: "name" }, pod.pod, worst),
      number("requests", sum.requests.toLocaleString()),
      number("mean", sum.requests ? milliseconds(sum.total / sum.requests) : "–"),
      number("slowest", sum.requests ? milliseconds(sum.slowest) : "–"),
      bar(names, sum.stages));
    row.addEventListener("click", () => choose(pod.pod));
    return row;
  });
  // Who moves by keyboard stays where they are.
  const focused = document.activeElement?.dataset?.pod;
  const none = element("p", { className: "soft" }, "No pod has answered or called anything yet.");
  byId("pods").replaceChildren(...(rows.length ? [head, ...rows] : [none]));
  if (focused) rows.find((row) => row.dataset.pod === focused)?.focus({ preventScroll: true });
}

/** The next round number for an axis: 1, 2 or 5 times a power of ten. */
function round(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function showChart(pod, names, now, interval) {
  const section = byId("chart-section");
  section.hidden = !pod;
  if (!pod) return;
  const [width, height] = matchMedia("(max-width: 40rem)").matches ? [420, 220] : [1100, 240];
  const [left, right, top, bottom] = [58, 8, 10, 24];
  // A young agent's chart begins with it, but is never shorter than two minutes.
  const oldest = pod.breakdown.length ? pod.breakdown[0].time_unix_s : now;
  const from = Math.max(now - state.minutes * 60, Math.min(oldest, now - 120));
  const span = now - from;
  // An hour of ten-second bars is finer than a screen: six become one.
  const step = span > 20 * 60 ? interval * 6 : interval;
  const bars = new Map();
  for (const entry of pod.breakdown) {
    const start = Math.floor(entry.time_unix_s / step) * step;
    const known = bars.get(start) || { requests: 0, stages: names.map(() => 0) };
    known.requests += entry.requests;
    entry.stages_ns.forEach((stage, at) => { known.stages[at] += stage; });
    bars.set(start, known);
  }
  const means = [...bars].map(([start, { requests, stages }]) =>
    ({ start, requests, stages: stages.map((stage) => stage / requests / 1e6) }));
  const mean = (entry) => entry.stages.reduce((sum, stage) => sum + stage, 0);
  const most = round(Math.max(0.01, ...means.map(mean)));
  const x = (second) => left + (second - from) / span * (width - left - right);
  const y = (value) => height - bottom - value / most * (height - top - bottom);
  const chart = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `Mean time of a request of ${pod.pod}, by stage, over ${state.minutes} minutes` });
  for (const part of [0, 0.5, 1]) {
    const at = y(most * part);
    chart.append(drawn("line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }));
    chart.append(drawn("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, `${+(most * part).toPrecision(3)} ms`));
  }
  for (const [part, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
    chart.append(drawn("text", { x: x(from + span * part), y: height - 6, "text-anchor": anchor }, minute(from + span * part)));
  }
  const barWidth = Math.max(1, step / span * (width - left - right) - 1);
  for (const entry of means) {
    const group = drawn("g", {});
    const lines = [`${minute(entry.start)}: ${count(entry.requests, "request", "requests")}, mean ${mean(entry).toFixed(2)} ms`];
    let sum = 0;
    names.forEach((name, at) => {
      const value = entry.stages[at];
      if (value <= 0) return;
      const start = Math.max(left, x(entry.start));
      group.append(drawn("rect", { class: name, x: start, width: Math.min(barWidth, width - right - start),
        y: y(sum + value), height: Math.max(0, y(sum) - y(sum + value)) }));
      sum += value;
      lines.push(`${name} ${value.toFixed(2)} ms`);
    });
    group.append(drawn("title", {}, lines.join("\n")));
    chart.append(group);
  }
  byId("chart-note").textContent = `${pod.pod}, by stage, ${step} s per bar`;
  byId("chart").replaceChildren(chart);
}

/** The same colour for all calls of a flow; lookups, which have none, share one. */
function hues(calls) {
  const flows = [...new Set(calls.map((call) => call.flow))].sort((a, b) => a - b);
  return new Map(flows.map((flow, at) => [flow, (at * 137) % 360]));
}

function row(request, label, className, hue, start, duration) {
  const part = element("i", { className });
  const share = (nanoseconds) => 100 * Math.min(Math.max(nanoseconds, 0), request.total_ns) / Math.max(request.total_ns, 1);
  part.style.left = `${share(start).toFixed(2)}%`;
  part.style.width = `${(share(start + duration) - share(start)).toFixed(2)}%`;
  if (hue !== null) part.style.background = `hsl(${hue} 60% 50%)`;
  return element("div", { className: "row" }, element("span", {}, label), element("span", { className: "track" }, part),
    element("span", { className: "number" }, milliseconds(duration)));
}

function waterfall(request, names) {
  const stages = names.map((name) => request.stages_ns[name]);
  const said = names.map((name, at) => [name, stages[at]]).filter(([, stage]) => stage > 0)
    .map(([name, stage]) => `${name} ${(stage / 1e6).toFixed(2)}`).join(" + ");
  const colours = hues(request.calls);
  const [receive, send] = [request.stages_ns.receive, request.stages_ns.send];
  const rows = [row(request, "request", "receive", null, 0, receive)];
  for (const call of request.calls) {
    const shared = call.attribution === "shared" ? ` 1/${Math.round(1 / call.share)}` : "";
    rows.push(row(request, `${call.kind} ${call.detail} (${call.attribution}${shared})`, call.kind, colours.get(call.flow), call.start_ns, call.duration_ns));
  }
  rows.push(row(request, "response", "send", null, request.total_ns - send, send));
  const marks = request.marks.length ? `, ${request.marks.join(", ")}` : "";
  return [
    element("p", { className: "soft" }, `${request.pod}, ${second(request.time_unix_ns)}, ${request.peer} → ${request.local}${marks}`),
    element("p", {}, `${said} = ${milliseconds(request.total_ns)}`),
    element("div", { className: "rows" }, ...rows),
  ];
}

function showRequests(answer) {
  byId("requests-note").textContent = `Of the last ${answer.minutes} minutes` + (state.pod ? `, of ${state.pod}` : "") +
    ". A colour per flow.";
  const made = answer.requests.map((request, at) => {
    const key = `${request.pod} ${request.flow} ${request.number}`;
    // Until somebody opens or closes one, the slowest is open.
    const open = state.touched ? state.open.has(key) : at === 0;
    const details = element("details", { open },
      element("summary", {}, `${request.title} → ${request.outcome}, ${milliseconds(request.total_ns)}`,
        state.pod ? null : element("span", { className: "whose soft" }, request.pod),
        bar(answer.stages, answer.stages.map((name) => request.stages_ns[name]))));
    const fill = () => { if (details.children.length === 1) details.append(...waterfall(request, answer.stages)); };
    if (open) fill();
    details.firstChild.addEventListener("click", () => {
      state.touched = true;
      fill();
      if (details.open) state.open.delete(key); else state.open.add(key);
    });
    return details;
  });
  byId("requests").replaceChildren(...(made.length ? made : [element("p", { className: "soft" }, "None.")]));
}

/** A value of the evidence, in the unit that its name tells. */
function value(name, found) {
  if (Array.isArray(found)) return found.join(", ");
  if (typeof found !== "number") return String(found);
  if (/(^|_)share(_|$)/.test(name)) return `${(100 * found).toFixed(1)} %`;
  if (/(^|_)seconds(_|$)/.test(name)) return found < 1 ? `${(1000 * found).toFixed(2)} ms` : `${found.toLocaleString(undefined, { maximumFractionDigits: 2 })} s`;
  return found.toLocaleString(undefined, { maximumFractionDigits: 2 });
}

function showFindings(findings) {
  byId("findings").hidden = findings.length === 0;
  byId("findings-list").replaceChildren(...findings.map((finding) => {
    const evidence = Object.entries(finding.evidence).filter(([, found]) => found !== null).map(([name, found]) =>
      element("tr", {}, element("td", {}, name.replace(/_seconds$/, "").replaceAll("_", " ")), element("td", {}, value(name, found))));
    const about = finding.destination ? `${finding.subject} → ${finding.destination}` : finding.subject;
    const key = `${finding.id} ${about}`;
    const shown = element("details", { open: state.evidence.has(key) }, element("summary", {}, "Evidence"),
      element("table", {}, element("tbody", {}, ...evidence)));
    shown.addEventListener("toggle", () => { if (shown.open) state.evidence.add(key); else state.evidence.delete(key); });
    return element("div", { className: `finding ${finding.severity}` },
      element("h3", {}, `${finding.id} (${finding.severity})`),
      element("p", { className: "soft" }, `${about}, since ${second(finding.since_unix_ns)}`),
      element("p", {}, finding.explanation),
      element("p", {}, element("b", {}, "Remedy: "), finding.remedy),
      shown,
      element("p", { className: "soft" }, `More: ${finding.page}`));
  }));
}

function showAccounting(answer) {
  const dropped = Object.values(answer.accounting.dropped).reduce((sum, number) => sum + number, 0);
  const odd = Object.entries({ ...answer.accounting.dropped, ...answer.accounting.oddities })
    .filter(([, number]) => number > 0).map(([name, number]) => `${name.replaceAll("_", " ")} ${number}`);
  byId("accounting").textContent = `${answer.accounting.emitted.toLocaleString()} events, ${dropped} lost` +
    (odd.length ? ` (${odd.join(", ")})` : "") + (answer.partial ? ". Something is missing from these numbers." : ".");
}

const RANK = ["info", "warning", "critical"];

async function refresh() {
  const [pods, found] = await Promise.all([get("api/v1/pods", { minutes: state.minutes }), get("api/v1/findings")]);
  const names = pods.stages;
  const all = pods.pods.map((pod) => ({ pod, sum: sums(pod, names) }));
  all.sort((a, b) => b.sum.total - a.sum.total || b.sum.requests - a.sum.requests || a.pod.pod.localeCompare(b.pod.pod));
  if (state.pod && !all.some(({ pod }) => pod.pod === state.pod)) state.pod = null;
  const requests = await get("api/v1/requests", state.pod ? { pod: state.pod } : {});
  const severities = new Map();
  for (const { subject, severity } of found.findings) {
    if (RANK.indexOf(severity) > RANK.indexOf(severities.get(subject))) severities.set(subject, severity);
  }
  const now = Math.floor(pods.now_unix_ns / 1e9);
  const chosen = all.find(({ pod }) => pod.pod === state.pod) || all.find(({ sum }) => sum.requests > 0);
  showFindings(found.findings.filter(({ subject }) => !state.pod || subject === state.pod));
  showLegend(names);
  showPods(all, names, severities);
  showChart(chosen && chosen.pod, names, now, pods.interval_seconds);
  showRequests(requests);
  showAccounting(pods);
  byId("status").textContent = `${location.host}, ${count(all.length, "pod", "pods")}, at ${second(pods.now_unix_ns)}`;
}

async function update() {
  const trouble = byId("trouble");
  try {
    await refresh();
    trouble.hidden = true;
    document.body.dataset.ready = "true";
  } catch (error) {
    trouble.textContent = `The agent does not answer as it should: ${error.message}. What is below is from before.`;
    trouble.hidden = false;
  }
}

/** Shows one pod, or all again. */
function choose(pod) {
  state.pod = state.pod === pod ? null : pod;
  [state.touched, state.open] = [false, new Set()];
  history.replaceState(null, "", state.pod ? `#${encodeURIComponent(state.pod)}` : location.pathname);
  update();
}

for (const button of document.querySelectorAll("button.minutes")) {
  button.addEventListener("click", () => {
    state.minutes = Number(button.dataset.minutes);
    for (const other of document.querySelectorAll("button.minutes")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    update();
  });
}

if (location.hash.length > 1) {
  try { state.pod = decodeURIComponent(location.hash.slice(1)); } catch { state.pod = null; }
}
update();
setInterval(() => { if (!document.hidden) update(); }, REFRESH);
