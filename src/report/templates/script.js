(() => {
  const form = document.querySelector(".filters");
  const table = document.querySelector(".matrix");
  const empty = document.querySelector(".empty");
  const output = form.querySelector("output");
  const rows = [...table.querySelectorAll("tr[id]")];
  let parsed;
  /** The details of all claims, parsed when they are needed first. */
  const data = () => (parsed ??= JSON.parse(document.getElementById("data").textContent));
  const claimOf = (row) => data().claims[rows.indexOf(row)];

  // The view is in the URL's fragment: `#claim-id&column=1.36&text=nginx&verdict=refuted`.
  const readUrl = ({ hash } = location) => {
    const fields = [...new URLSearchParams(hash.slice(1))];
    const all = (name) => fields.filter(([field]) => field === name).map(([, value]) => value);
    return {
      claim: (fields.find(([, value]) => !value) ?? [""])[0],
      column: all("column")[0],
      text: all("text")[0] ?? "",
      document: all("document")[0] ?? "",
      verdict: all("verdict"),
      only: all("only"),
    };
  };
  const readForm = () => {
    const checked = (name) => [...form.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value);
    return {
      text: form.elements.text.value.trim(),
      document: form.elements.document?.value ?? "",
      verdict: checked("verdict"),
      only: checked("only"),
    };
  };
  const writeUrl = ({ claim, ...fields }, replace) => {
    const pairs = Object.entries(fields).flatMap(([name, values]) => [values].flat().map((value) => [name, value]));
    const words = [[claim], ...pairs].filter((pair) => pair.at(-1)).map((pair) => pair.map(encodeURIComponent).join("="));
    const url = words.length ? `#${words.join("&")}` : location.pathname + location.search;
    if (words.length ? location.hash !== url : location.hash)
      history[replace ? "replaceState" : "pushState"](null, "", url);
  };

  let texts;
  const textOf = (row) => {
    texts ??= new Map(rows.map((each) => {
      const reasons = claimOf(each).cells.flatMap((cell) => [cell.reason, cell.scenario?.id]);
      return [each, [each.cells[0].textContent, ...reasons].join(" ").toLowerCase()];
    }));
    return texts.get(row);
  };
  /** Shows the claims that match the form, and counts the claims that each chip would show. */
  const filter = () => {
    const { text, document: cited, verdict, only } = readForm();
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const counts = {};
    let shown = 0;
    for (const row of rows) {
      const states = row.dataset.states.split(" ");
      const base = (!words.length || words.every((word) => textOf(row).includes(word)))
        && (!cited || claimOf(row).cites.some((cite) => cite.document === cited));
      const byVerdict = !verdict.length || verdict.some((state) => states.includes(state));
      const byOnly = only.every((state) => states.includes(state));
      for (const state of new Set(states)) {
        const isOnly = state === "changed" || state === "differs";
        counts[state] = (counts[state] ?? 0) + (base && (isOnly ? byVerdict : byOnly));
      }
      row.hidden = !(base && byVerdict && byOnly);
      if (detailsOf(row)) detailsOf(row).hidden = row.hidden;
      shown += !row.hidden;
    }
    for (const area of table.tBodies) area.hidden = !area.querySelector("tr[id]:not([hidden])");
    for (const count of form.querySelectorAll("[data-count]")) count.textContent = counts[count.dataset.count] ?? 0;
    const filters = [cited, ...verdict, ...only, text && `“${text}”`].filter(Boolean).join(", ");
    const total = `${rows.length} claim${rows.length === 1 ? "" : "s"}`;
    output.textContent = filters ? `${shown} of ${total}` : total;
    output.dataset.filters = filters && `: ${filters}`;
    table.hidden = !shown;
    empty.hidden = shown > 0;
  };

  const mark = (key) => svg("svg", { class: `v v-${key}`, "aria-hidden": "true" }, svg("use", { href: `#v-${key}` }));
  const evidenceLink = (path) => path
    && [" · ", html("a", { href: `./${path.split("/").map(encodeURIComponent).join("/")}` }, "evidence file")];
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
  const verdict = (row, at, cell) => {
    const { className, lastElementChild: badge } = row.cells[at + 1];
    return [html("b", { class: className }, mark(className.replace("w-", "")), cell.verdict),
      badge.className === "badge" && badge.cloneNode(true), html("span", { class: "reason" }, cell.reason)];
  };
  const several = table.classList.contains("several");
  const hasMore = ({ problems, checks, scenario }) => problems.length > 0 || checks.length > 0 || scenario;
  /** A claim's result in a column. Of several columns, each is built when it is opened. */
  const columnOf = (row, cell, at) => {
    const column = data().columns[at];
    if (!several) return [html("p", { class: "found" }, verdict(row, at, cell)), body(cell, column)];
    const line = [html("span", { class: "on" }, column), verdict(row, at, cell)];
    if (!hasMore(cell)) return html("div", { class: "column line" }, line);
    const block = html("details", { class: "column" }, html("summary", { class: "line" }, line));
    block.addEventListener("toggle", () => {
      if (block.open && block.children.length === 1) block.append(html("div", {}, body(cell, column)));
    });
    return block;
  };
  const detailsOf = (row) => (row.nextElementSibling?.className === "details" ? row.nextElementSibling : null);
  const setOpen = (row, open, column) => {
    let details = detailsOf(row);
    if (open && !details) {
      const claim = claimOf(row);
      details = html("tr", { class: "details" }, html("td", { colspan: row.cells.length },
        claim.instead && html("p", { class: "instead" }, html("b", {}, "Actually"), ` ${claim.instead}`),
        html("p", { class: "meta" }, claim.cites.length
          ? claim.cites.map(({ document: name, lines }) => html("span", { class: "cite" }, `${name}, ${lines}`))
          : "Not from a document: hookproof's own claim"),
        claim.cells.map((cell, at) => columnOf(row, cell, at))));
      row.after(details);
    } else if (!open && details) details.remove();
    if (open && several) {
      const at = data().columns.indexOf(column);
      const block = details.querySelectorAll(".column")[at < 0 ? claimOf(row).cells.findIndex(hasMore) : at];
      if (block) block.open = true;
    }
    row.querySelector("a").setAttribute("aria-expanded", open);
  };

  /** Restores the view that the URL describes. Going back closes the claim that is left. */
  const show = (event) => {
    const view = readUrl();
    const left = event && rows.find(({ id }) => id === readUrl(new URL(event.oldURL)).claim);
    if (left && left.id !== view.claim) setOpen(left, false);
    form.elements.text.value = view.text;
    if (form.elements.document) form.elements.document.value = view.document;
    for (const box of form.querySelectorAll("[type=checkbox]")) box.checked = view[box.name].includes(box.value);
    filter();
    const row = rows.find(({ id }) => id === view.claim);
    if (!row || row.hidden) return;
    setOpen(row, true, view.column);
    row.querySelector("a").focus({ preventScroll: true });
    const { top, bottom } = row.getBoundingClientRect();
    if (top < form.offsetHeight + table.tHead.offsetHeight || bottom > innerHeight) row.scrollIntoView();
  };
  /** Applies the form. Typing replaces the history entry. */
  const apply = (typing) => {
    filter();
    const { claim, column } = readUrl();
    const kept = rows.some((row) => row.id === claim && !row.hidden);
    writeUrl({ ...(kept && { claim, column }), ...readForm() }, typing);
  };

  for (const row of rows) row.querySelector("a").setAttribute("aria-expanded", "false");
  table.addEventListener("click", (event) => {
    const row = event.target.closest("tr[id]");
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey || !getSelection().isCollapsed) return;
    event.preventDefault();
    const at = (event.target.closest("td")?.cellIndex ?? 0) - 1;
    const column = several && at >= 0 ? data().columns[at] : undefined;
    const block = column && detailsOf(row)?.querySelectorAll(".column")[at];
    const open = !detailsOf(row) || block?.open === false;
    setOpen(row, open, column);
    writeUrl(open ? { claim: row.id, column, ...readForm() } : readForm());
    row.scrollIntoView({ block: "nearest" });
  });
  form.addEventListener("input", (event) => apply(event.target.name === "text"));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("click", (event) => {
    const action = event.target.dataset.do;
    if (action) for (const row of rows) if (!row.hidden) setOpen(row, action === "open");
  });
  empty.querySelector("button").addEventListener("click", () => {
    form.reset();
    apply();
    form.elements.text.focus();
  });
  addEventListener("hashchange", show);
  form.hidden = false;
  const pinned = new ResizeObserver(() => {
    const { style } = document.documentElement;
    style.setProperty("--bar", `${form.offsetHeight}px`);
    style.setProperty("--pinned", `${form.offsetHeight + table.tHead.offsetHeight}px`);
  });
  pinned.observe(form);
  pinned.observe(table.tHead);
  show();
})();
