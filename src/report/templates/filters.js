/**
 * The filters of a page's table of claims. `claimOf` gives the details of a row's claim; `onFilter` is called with
 * each row after it was shown or hidden.
 */
const filtersOf = (claimOf, onFilter = () => {}) => {
  const form = document.querySelector(".filters");
  const table = document.querySelector(".claims table");
  const empty = document.querySelector(".empty");
  const output = form.querySelector("output");
  const rows = [...table.querySelectorAll("tr[id]")];

  // The view is in the URL's fragment: `#claim-id&column=1.36&text=nginx&verdict=refuted`.
  const readUrl = ({ hash } = location) => {
    const fields = [...new URLSearchParams(hash.slice(1))];
    const all = (name) => fields.filter(([field]) => field === name).map(([, value]) => value);
    return {
      claim: (fields.find(([, value]) => !value) ?? [""])[0],
      column: all("column")[0],
      text: all("text")[0] ?? "",
      document: all("document")[0] ?? "",
      family: all("family")[0] ?? "",
      verdict: all("verdict"),
      only: all("only"),
    };
  };
  const readForm = () => {
    const checked = (name) => [...form.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value);
    return {
      text: form.elements.text.value.trim(),
      document: form.elements.document?.value ?? "",
      family: form.elements.family?.value ?? "",
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
    const { text, document: cited, family, verdict, only } = readForm();
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const counts = {};
    let shown = 0;
    for (const row of rows) {
      const states = row.dataset.states.split(" ");
      const base = (!words.length || words.every((word) => textOf(row).includes(word)))
        && (!family || row.id.split(".")[0] === family)
        && (!cited || claimOf(row).cites.some((cite) => cite.document === cited));
      const byVerdict = !verdict.length || verdict.some((state) => states.includes(state));
      const byOnly = only.every((state) => states.includes(state));
      for (const state of new Set(states)) {
        const isOnly = ["changed", "differs", "flaky"].includes(state);
        counts[state] = (counts[state] ?? 0) + (base && (isOnly ? byVerdict : byOnly));
      }
      row.hidden = !(base && byVerdict && byOnly);
      onFilter(row);
      shown += !row.hidden;
    }
    for (const area of table.tBodies) area.hidden = !area.querySelector("tr[id]:not([hidden])");
    for (const count of form.querySelectorAll("[data-count]")) count.textContent = counts[count.dataset.count] ?? 0;
    const filters = [family, cited, ...verdict, ...only, text && `“${text}”`].filter(Boolean).join(", ");
    const total = `${rows.length} claim${rows.length === 1 ? "" : "s"}`;
    output.textContent = filters ? `${shown} of ${total}` : total;
    output.dataset.filters = filters && `: ${filters}`;
    table.hidden = !shown;
    empty.hidden = shown > 0;
  };

  /** Applies the fields of a URL to the form and the table. */
  const restore = (view) => {
    form.elements.text.value = view.text;
    for (const name of ["document", "family"]) if (form.elements[name]) form.elements[name].value = view[name];
    for (const box of form.querySelectorAll("[type=checkbox]")) box.checked = view[box.name].includes(box.value);
    filter();
  };
  /** Calls `apply` when the form changes; typing replaces the history entry. */
  const onChange = (apply) => {
    form.addEventListener("input", (event) => apply(event.target.name === "text"));
    form.addEventListener("submit", (event) => event.preventDefault());
    empty.querySelector("button").addEventListener("click", () => {
      form.reset();
      apply();
      form.elements.text.focus();
    });
    form.hidden = false;
  };
  return { form, table, rows, readUrl, readForm, writeUrl, filter, restore, onChange };
};
