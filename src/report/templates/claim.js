(() => {
  const { columns, claims: [claim] } = data();
  const blocks = [...document.querySelectorAll("details.column")];
  blocks.forEach((block, at) => {
    const details = html("div");
    block.addEventListener("toggle", () => {
      if (block.open && !details.parentNode) block.append(fill(details, {}, body(claim.cells[at], columns[at])));
    });
  });
  const show = () => {
    const block = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!blocks.includes(block)) return false;
    block.open = true;
    block.scrollIntoView();
    block.firstElementChild.focus({ preventScroll: true });
    return true;
  };
  addEventListener("hashchange", show);
  if (!show() && blocks[0]) blocks[0].open = true;
})();
