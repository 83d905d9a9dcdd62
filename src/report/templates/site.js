(() => {
  const claimOf = (row) => data().claims[rows.indexOf(row)];
  const { rows, readUrl, readForm, writeUrl, filter, restore, onChange } = filtersOf(claimOf);
  const show = () => {
    const view = readUrl();
    // Reports link to claims as `index.html#CLAIM`.
    if (rows.some(({ id }) => id === view.claim)) location.replace(`claims/${encodeURIComponent(view.claim)}.html`);
    restore(view);
  };
  onChange((typing) => {
    filter();
    writeUrl(readForm(), typing);
  });
  addEventListener("hashchange", show);
  show();
})();
