const BAR = 18;
const ROW = 15;
const measure = document.createElement("canvas").getContext("2d");
measure.font = `11px ${getComputedStyle(document.body).fontFamily}`;
const widthOf = (text) => measure.measureText(text).width * 1.04;

/** Reserves begin to end in the first row that is free there. `rows` holds the end of each row. */
const place = (rows, begin, end) => {
  const free = rows.findIndex((taken) => taken <= begin);
  const row = free < 0 ? rows.length : free;
  rows[row] = end;
  return row;
};

/** A step of 1, 2 or 5 times a power of ten that results in at most `most` ticks. */
const tick = (span, most) => {
  const power = 10 ** Math.floor(Math.log10(span / most));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step * most >= span * 0.999);
};

const SHAPES = {
  signal: (x, y) => `M${x} ${y + 5}l-5.5 -9h11z`,
  warning: (x, y) => `M${x} ${y - 5}l5.5 9h-11z`,
  meeting: (x, y) => `M${x} ${y - 5}l5 5 -5 5 -5 -5z`,
  deletion: (x, y) => `M${x - 4} ${y - 4}l8 8m0 -8l-8 8`,
  request: (x, y) => `M${x} ${y + 4}h-4v-8h4l5 4z`,
  stamp: (x, y) => `M${x - 1} ${y - 5}h2v10h-2z`,
  step: (x, y) => `M${x - 1} ${y - 5}h2v10h-2z`,
  event: (x, y) => `M${x - 4} ${y}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z`,
};
const PROCESSES = ["entrypoint", "hook", "prestop", "init", "process"];

/** Draws a timeline of this width in pixels. In a narrow one, the names of lanes are above them. */
const drawTimeline = ({ span, groups }, width, title) => {
  const narrow = width < 620;
  const left = narrow ? 2 : 150;
  const right = width - 16;
  const x = (at) => Math.round((left + (right - left) * Math.min(at / span, 1)) * 10) / 10;
  const time = (at) => `${at.toFixed(3)} s`;
  const root = svg("svg", { class: "timeline tl", role: "img", "aria-label": title });
  const line = (x1, y1, x2, y2, name) => root.append(svg("line", { class: name, x1, y1, x2, y2 }));
  /** The text as far as it fits. */
  const fit = (text, room) => {
    if (widthOf(text) <= room) return text;
    let end = text.length - 1;
    while (end > 1 && widthOf(`${text.slice(0, end)}…`) > room) end -= 1;
    return `${text.slice(0, end)}…`;
  };
  const write = (at, y, name, text) => root.append(svg("text", { class: name, x: at, y }, text));
  const tip = (text) => svg("title", {}, text);
  const drawBar = (bar, from, to, y) => {
    const inset = bar.look === "hold" ? 1.5 : 0;
    root.append(svg("rect", {
      class: `bar ${bar.look}${bar.open ? " open" : ""}`,
      x: from, y: y + inset, width: to - from, height: BAR - 2 * inset, rx: 2,
    }, tip(`${bar.tip}\n${time(bar.from)} to ${time(bar.to)}`)));
    // Torn edge: the end was not observed.
    if (bar.open) root.append(svg("path", { class: "torn", d: `M${to} ${y}l-4 4.5 4 4.5 -4 4.5 4 4.5` }));
  };
  const drawMark = (mark, y) => root.append(
    svg("path", { class: `mark ${mark.look}`, d: SHAPES[mark.look](x(mark.at), y) }, tip(`${time(mark.at)} ${mark.tip}`)));

  /** Draws things with labels next to them: to the right, or to the left if the right has no room. */
  const labelled = (things, top, height) => {
    const rows = [];
    for (const { from, to, text, inside, draw } of things) {
      const label = fit(text, right - left);
      const words = widthOf(label);
      const within = inside && words + 10 <= to - from;
      const after = to + 5 + words <= right;
      const at = within ? from + 5 : after ? to + 5 : Math.max(from - 5 - words, left);
      const y = top + place(rows, Math.min(from, at) - 8, Math.max(to, within ? to : at + words)) * height;
      draw(y);
      write(at, y + 13, within ? "in" : "out halo", label);
    }
    return top + rows.length * height;
  };
  const commands = (bars, top) => labelled(bars.map((bar) => {
    const [from, to] = [x(bar.from), Math.max(x(bar.to), x(bar.from) + 3)];
    return { from, to, text: bar.label, inside: true, draw: (y) => drawBar(bar, from, to, y) };
  }), top, BAR + 2);
  const points = (marks, top) => labelled(marks.map((mark) => (
    { from: x(mark.at) - 4, to: x(mark.at) + 4, text: mark.label, draw: (y) => drawMark(mark, y + 9) })), top, ROW);

  /** Bars in one row, or in several if processes of a role overlap. Holds are hatched, marks are drawn on
      the bars, and labels that do not fit are drawn below, each connected to its position by a line. */
  const stretches = ({ bars, holds = [], marks = [] }, top) => {
    const rows = [];
    const placed = [];
    const outside = [];
    const marked = marks.map((mark) => x(mark.at));
    for (const bar of bars) {
      const [from, to] = [x(bar.from), Math.max(x(bar.to), x(bar.from) + 2)];
      const y = top + place(rows, from + 0.6, x(bar.to)) * (BAR + 2);
      placed.push({ bar, y });
      drawBar(bar, from, to, y);
      // A label goes inside the bar only if it covers no hold and no mark.
      const end = from + widthOf(bar.label) + 10;
      const covered = (at) => at >= from && at <= Math.min(end + 4, to);
      const free = !holds.some((hold) => covered(x(hold.from))) && !marked.some((at) => at > from + 2 && covered(at));
      const process = PROCESSES.includes(bar.look);
      const begin = marked.some((at) => Math.abs(at - from) <= 2) ? from + 9 : from + 6;
      if (free && end <= to) write(begin, y + 13, process ? (bar.look === "hook" ? "on-hook" : "on-bar") : "in", bar.label);
      // A process's label describes its end.
      else outside.push({ at: process ? to : from, y, text: bar.label });
    }
    const rowOf = (at) => (placed.find(({ bar }) => at >= bar.from && at <= bar.to) ?? { y: top }).y;
    for (const hold of holds) {
      const y = rowOf(hold.from);
      const [from, to] = [x(hold.from), Math.max(x(hold.to), x(hold.from) + 2)];
      drawBar(hold, from, to, y);
      let at = from + 6;
      for (const mark of marked) if (mark > at - 8 && mark < at + widthOf(hold.label) + 6) at = mark + 9;
      if (at + widthOf(hold.label) + 4 <= to) write(at, y + 13, "in halo", hold.label);
      else outside.push({ at: from, y, text: hold.label });
    }
    for (const mark of marks) {
      const y = rowOf(mark.at);
      drawMark(mark, y + BAR / 2);
      if (mark.label) outside.push({ at: x(mark.at), y, text: mark.label });
    }
    const below = top + rows.length * (BAR + 2);
    const taken = [];
    const texts = [];
    for (const { at, y, text } of outside.sort((a, b) => a.at - b.at)) {
      const label = fit(text, right - left);
      const words = widthOf(label);
      const begin = Math.max(Math.min(at + 3, right - words), left);
      const base = below + place(taken, begin - 8, begin + words) * (ROW - 2) + 9;
      line(at, y + BAR, at, base, "tie");
      texts.push([begin, base, label]);
    }
    for (const [at, y, label] of texts) write(at, y, "out halo", label);
    return below + taken.length * (ROW - 2);
  };

  const drawLane = (lane, top) => {
    let y = top;
    if (narrow) {
      write(left, y + 11, "lane", fit([lane.name, lane.of].filter(Boolean).join(" · "), right - left));
      y += 16;
    } else {
      write(0, y + 12, "lane", fit(lane.name, left - 16));
      if (lane.of) write(0, y + 24, "of", fit(lane.of, left - 10));
    }
    const bottom = lane.name === "commands" && !lane.of ? commands(lane.bars, y)
      : lane.bars ? stretches(lane, y) : points(lane.marks, y);
    return Math.max(bottom, narrow ? 0 : top + (lane.of ? 30 : 20)) + 8;
  };

  let y = 26;
  for (const { title: heading, lanes } of groups) {
    y += 16;
    line(0, y + 5, right, y + 5, "rule");
    write(0, y, "group", heading);
    y += 12;
    for (const lane of lanes) y = drawLane(lane, y);
  }
  const height = Math.ceil(y + 22);
  const step = tick(span, Math.max(2, Math.min(10, Math.floor((right - left) / 70))));
  const axis = [];
  for (let n = 0; n * step <= span * 1.0001; n += 1) {
    const at = x(n * step);
    axis.push(svg("line", { class: "grid", x1: at, x2: at, y1: 20, y2: height - 16 }));
    const anchor = narrow && n === 0 ? "start" : "middle";
    for (const base of [12, height - 4])
      axis.push(svg("text", { class: "tick", x: at, y: base, "text-anchor": anchor }, `${+(n * step).toFixed(3)} s`));
  }
  root.prepend(...axis);
  fill(root, { viewBox: `0 0 ${width} ${height}` }, []);
  return root;
};
