(() => {
  const claimOf = (row) => data().claims[rows.indexOf(row)];
  const { form, table, rows, readUrl, readForm, writeUrl, filter, restore, onChange } = filtersOf(claimOf, (row) => {
    if (detailsOf(row)) detailsOf(row).hidden = row.hidden;
  });

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
    restore(view);
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
  onChange(apply);
  form.addEventListener("click", (event) => {
    const action = event.target.dataset.do;
    if (action) for (const row of rows) if (!row.hidden) setOpen(row, action === "open");
  });
  addEventListener("hashchange", show);
  const pinned = new ResizeObserver(() => {
    const { style } = document.documentElement;
    style.setProperty("--bar", `${form.offsetHeight}px`);
    style.setProperty("--pinned", `${form.offsetHeight + table.tHead.offsetHeight}px`);
  });
  pinned.observe(form);
  pinned.observe(table.tHead);
  show();
})();
