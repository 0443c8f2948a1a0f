// What a page gains when scripts run: keys, folding, copying. Everything works without.

const status = document.getElementById("status");
const help = document.getElementById("help");

// Single keys can be turned off (WCAG 2.1.4); the choice stays in this browser.
const keysOn = document.getElementById("keys-on");
try {
  keysOn.checked = localStorage.getItem("keys") !== "off";
  keysOn.addEventListener("change", () => localStorage.setItem("keys", keysOn.checked ? "on" : "off"));
} catch {
  // A browser that keeps nothing has the keys on.
}

for (const button of document.querySelectorAll("[data-opens]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    button.closest("details")?.removeAttribute("open");
    document.getElementById(button.dataset.opens).showModal();
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      status.textContent = "Copied";
    } catch {
      status.textContent = "The browser did not allow copying";
    }
  });
}

// A menu closes when one looks elsewhere.
for (const menu of document.querySelectorAll("details.menu")) {
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

// Rows of a tree fold: a row is hidden while any row above it is folded.
for (const table of document.querySelectorAll("table[data-rows]")) {
  const rows = [...table.tBodies[0].rows];
  const depth = (row) => Number(row.dataset.depth ?? 0);
  const parents = rows.filter((row, i) => rows[i + 1] && depth(rows[i + 1]) > depth(row));
  if (parents.length === 0) continue;
  table.classList.add("trees");
  const folded = new Set();
  const show = () => {
    let limit = Infinity;
    for (const row of rows) {
      if (depth(row) <= limit) limit = Infinity;
      row.hidden = depth(row) > limit;
      if (!row.hidden && folded.has(row)) limit = depth(row);
    }
  };
  for (const row of rows) {
    const tree = row.querySelector(".tree");
    if (!parents.includes(row)) {
      tree.classList.add("leaf");
      continue;
    }
    const name = tree.textContent.trim();
    const button = document.createElement("button");
    button.type = "button";
    const word = () => {
      const open = !folded.has(row);
      button.textContent = open ? "▾" : "▸";
      button.setAttribute("aria-expanded", String(open));
      button.setAttribute("aria-label", (open ? "Collapse " : "Expand ") + name);
    };
    word();
    button.addEventListener("click", () => {
      if (!folded.delete(row)) folded.add(row);
      word();
      show();
    });
    tree.prepend(button);
  }
}

// In a grid of fields the arrows, and Enter, go to the field above and below.
for (const grid of document.querySelectorAll("table[data-grid]")) {
  grid.addEventListener("keydown", (event) => {
    const by = { ArrowUp: -1, ArrowDown: 1, Enter: 1 }[event.key];
    const cell = event.target.closest("td");
    if (!by || !cell || event.target.tagName !== "INPUT") return;
    event.preventDefault();
    const rows = [...grid.tBodies[0].rows];
    const next = rows[rows.indexOf(cell.parentElement) + by]?.cells[cell.cellIndex]?.querySelector("input");
    next?.focus();
    next?.select();
  });
}

const rowLinks = () => [...document.querySelectorAll("[data-row]")].filter((link) => link.checkVisibility());

function step(by) {
  const links = rowLinks();
  if (links.length === 0) return;
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1);
  links[next].focus();
}

const actions = {
  "/": () => {
    const field = document.querySelector("[data-search]");
    field?.focus();
    field?.select();
  },
  "?": () => help.showModal(),
  j: () => step(1),
  k: () => step(-1),
};

document.addEventListener("keydown", (event) => {
  if (!keysOn.checked || event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  if (event.target.closest("input, select, textarea, [contenteditable]")) return;
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
