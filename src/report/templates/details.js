let parsed;
/** The details of claims, parsed when they are needed first. */
const data = () => (parsed ??= JSON.parse(document.getElementById("data").textContent));
/** The URL of the folder that paths of evidence are relative to. */
const evidenceBase = document.body.dataset.base ?? "./";

const mark = (key) => svg("svg", { class: `v v-${key}`, "aria-hidden": "true" }, svg("use", { href: `#v-${key}` }));
const evidenceLink = (path) => path
  && [" · ", html("a", { href: `${evidenceBase}${path.split("/").map(encodeURIComponent).join("/")}` }, "evidence file")];
const truth = (value) => {
  const key = value ?? "none";
  return html("span", { class: `truth t-${key}` }, value == null ? "not evaluable" : String(value));
};
const evaluation = (role, { expression, value, error, parts = [] }) => html("div", { class: "eval" },
  html("span", { class: "role" }, role), truth(value),
  html("div", { class: "expr" },
    parts.length ? parts.map((part) => html("p", {}, html("code", {}, part.text),
      // In a true expression every part is true.
      value !== true && parts.length > 1 && [" ", truth(part.value)],
      part.read.length > 0 && html("span", { class: "read" },
        part.read.map(([path, found]) => html("span", {}, html("i", {}, path), ` ${found}`)))))
      : html("p", {}, html("code", {}, expression)),
    error && html("p", { class: "why" }, error)));
const check = (cell, { name, outcome, reason, control, holds, fails }) => html("div", { class: "check" },
  (name !== "check" || !cell.reason.endsWith(reason)) && html("p", { class: "check-head" },
    name !== "check" && [html("b", {}, name), ": "], html("b", {}, outcome.replace("-", " ")), `: ${reason}`),
  [["control", control], ["holds", holds], ["fails", fails]].map(([role, found]) => evaluation(role, found)));
const timelineOf = (scenario, column) => {
  if (scenario.timeline == null) return html("p", { class: "none" }, `No timeline: ${scenario.no_timeline}.`);
  const box = html("div", { class: "drawing" });
  let drawn = 0;
  new ResizeObserver(([{ contentRect }]) => {
    const width = Math.floor(contentRect.width);
    if (!width || width === drawn) return;
    drawn = width;
    box.replaceChildren(drawTimeline(data().timelines[scenario.timeline], width, `Timeline of ${scenario.title} on ${column}`));
  }).observe(box);
  return [box, document.querySelector("template").content.cloneNode(true)];
};
const figure = (scenario, column) => html("figure", {},
  html("figcaption", {}, html("b", {}, scenario.title), " ", html("code", {}, scenario.id), ` · ${scenario.took}`,
    scenario.attempts && ` · ${scenario.attempts}`, evidenceLink(scenario.evidence)),
  scenario.earlier.map(({ attempt, why, evidence }) =>
    html("p", {}, html("b", {}, `Attempt ${attempt}`), ` ${why}`, evidenceLink(evidence))),
  timelineOf(scenario, column));
const body = (cell, column) => [
  cell.problems.map((problem) => html("p", { class: "problem" }, mark("error"), problem)),
  Object.keys(cell.measured).length > 0 && html("dl", { class: "measured" },
    Object.entries(cell.measured).map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value)))),
  cell.checks.map((found) => check(cell, found)),
  cell.scenario && figure(cell.scenario, column),
];
