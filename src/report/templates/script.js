(() => {
  const form = document.querySelector(".filters");
  const rows = [...document.querySelectorAll("tr[data-claim]")];
  const details = (row) => document.getElementById(row.dataset.claim);
  const texts = new Map(rows.map((row) => [row, (row.textContent + details(row).textContent).toLowerCase()]));
  const apply = () => {
    const text = document.getElementById("f-text").value.trim().toLowerCase();
    const doc = document.getElementById("f-doc").value;
    const states = [...form.querySelectorAll("[name=state]:checked")].map((box) => box.value);
    let shown = 0;
    for (const row of rows) {
      const has = row.dataset.states.split(" ");
      const show = texts.get(row).includes(text)
        && (!doc || row.dataset.docs.split("\n").includes(doc))
        && (!states.length || states.some((state) => has.includes(state)));
      row.hidden = !show;
      details(row).hidden = !show;
      shown += show;
    }
    for (const area of document.querySelectorAll(".matrix tbody"))
      area.hidden = !area.querySelector("tr[data-claim]:not([hidden])");
    document.getElementById("f-count").textContent = shown === rows.length ? "" : `${shown} of ${rows.length}`;
  };
  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const around = target && target.closest("details");
    if (around) {
      around.open = true;
      around.scrollIntoView({ block: "start" });
    }
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", open);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
  open();
})();
