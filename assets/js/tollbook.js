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

function copying(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy]")) {
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
}

// What is waited for is asked again every two seconds, ten minutes long, while somebody
// looks; when it is there, the asking ends.
for (const place of document.querySelectorAll("[data-waits]")) {
  let left = 300;
  const ask = async () => {
    if (place.querySelector("[data-arrived], [role=alert]") || left-- <= 0) return;
    if (!document.hidden) {
      try {
        const answer = await fetch(place.dataset.waits, { headers: { Accept: "text/html" } });
        if (answer.ok && !answer.redirected) {
          const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
          if (fresh.textContent !== place.textContent) place.replaceChildren(...fresh.childNodes);
        }
      } catch {
        // The next one may get through.
      }
    }
    setTimeout(ask, 2000);
  };
  setTimeout(ask, 2000);
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

// Rows of a tree fold: a row is hidden while any row above it is folded. Which are folded
// is remembered by their names, for a page that is fetched again.
const foldedNames = new Set();

function folding(root) {
  for (const table of root.querySelectorAll("table[data-rows]")) {
    const rows = [...table.tBodies[0].rows];
    const depth = (row) => Number(row.dataset.depth ?? 0);
    const parents = rows.filter((row, i) => rows[i + 1] && depth(rows[i + 1]) > depth(row));
    if (parents.length === 0) continue;
    table.classList.add("trees");
    const names = new Map(rows.map((row) => [row, row.querySelector(".tree").textContent.trim()]));
    const show = () => {
      let limit = Infinity;
      for (const row of rows) {
        if (depth(row) <= limit) limit = Infinity;
        row.hidden = depth(row) > limit;
        if (!row.hidden && foldedNames.has(names.get(row))) limit = depth(row);
      }
    };
    for (const row of rows) {
      const tree = row.querySelector(".tree");
      if (!parents.includes(row)) {
        tree.classList.add("leaf");
        continue;
      }
      const name = names.get(row);
      const button = document.createElement("button");
      button.type = "button";
      const word = () => {
        const open = !foldedNames.has(name);
        button.textContent = open ? "▾" : "▸";
        button.setAttribute("aria-expanded", String(open));
        button.setAttribute("aria-label", (open ? "Collapse " : "Expand ") + name);
      };
      word();
      button.addEventListener("click", () => {
        if (!foldedNames.delete(name)) foldedNames.add(name);
        word();
        show();
      });
      tree.prepend(button);
    }
    show();
  }
}

function enhance(root) {
  copying(root);
  folding(root);
}

enhance(document);

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

// A row of the hierarchy is moved by dragging it onto another, or by the keyboard: m, the
// arrows, Enter. Either leads to the page that says what a move does: nothing moves here.
const nodes = document.querySelector("table[data-nodes]");
let moving = null;

function nodeRows() {
  return [...nodes.tBodies[0].rows];
}

function leads(row, to) {
  const address = new URL(nodes.dataset.change, location.href);
  address.searchParams.set("code", row.dataset.code);
  address.searchParams.set("parent", to.dataset.code);
  location.assign(address);
}

function point(row) {
  for (const other of nodeRows()) other.classList.toggle("target", other === row);
  row?.scrollIntoView({ block: "nearest" });
}

function endMove(text) {
  moving?.row.classList.remove("moving");
  point(null);
  status.textContent = text;
  moving = null;
}

function beginMove() {
  const row = document.activeElement?.closest("table[data-nodes] tbody tr");
  if (!row?.draggable) return;
  moving = { row, at: nodeRows().indexOf(row) };
  row.classList.add("moving");
  status.textContent = `Moving ${row.dataset.code}. Choose what it goes below with the arrows, then Enter. Escape ends it.`;
}

function chooseParent(key) {
  const rows = nodeRows();
  if (key === "Escape") {
    endMove("It stays where it is");
    return;
  }
  if (key === "Enter") {
    if (rows[moving.at] !== moving.row) leads(moving.row, rows[moving.at]);
    return;
  }
  const by = key === "ArrowUp" ? -1 : 1;
  let next = moving.at + by;
  if (rows[next] === moving.row) next += by;
  if (!rows[next]) return;
  moving.at = next;
  point(rows[next]);
  status.textContent = `Below ${rows[next].dataset.code} ${rows[next].querySelector("[data-row]")?.textContent ?? ""}`;
}

if (nodes) {
  let dragged = null;
  for (const row of nodeRows()) row.draggable = row.querySelector('td a[href*="op=move"]') !== null;
  const over = (event) => event.target.closest?.("tbody tr");
  nodes.addEventListener("dragstart", (event) => {
    dragged = over(event);
    if (!dragged) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.code);
    dragged.classList.add("moving");
  });
  nodes.addEventListener("dragover", (event) => {
    const row = over(event);
    if (!dragged || !row || row === dragged) return;
    event.preventDefault();
    point(row);
  });
  nodes.addEventListener("drop", (event) => {
    const row = over(event);
    if (!dragged || !row || row === dragged) return;
    event.preventDefault();
    leads(dragged, row);
  });
  nodes.addEventListener("dragend", () => {
    dragged?.classList.remove("moving");
    dragged = null;
    point(null);
  });
  nodes.addEventListener("keydown", (event) => {
    if (!moving || !["ArrowUp", "ArrowDown", "Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    chooseParent(event.key);
  });
  nodes.addEventListener("focusout", (event) => {
    if (moving && !nodes.contains(event.relatedTarget)) endMove("");
  });
}

// A slider goes from one instant at which the hierarchy turns to the next, and fills the
// field that is sent.
for (const slider of document.querySelectorAll("[data-slider]")) {
  const field = document.getElementById(slider.dataset.slider);
  const range = slider.querySelector("input");
  const shown = slider.querySelector("output");
  const turns = slider.dataset.notches.split(" ");
  range.max = String(turns.length - 1);
  const now = turns.indexOf("");
  let at = turns.indexOf(field.value);
  if (at < 0) at = turns.findLastIndex((turn) => turn !== "" && turn <= field.value);
  range.value = String(Math.max(at, 0));
  const words = () => {
    const turn = turns[Number(range.value)];
    shown.textContent = turn === "" ? "now" : turn + (Number(range.value) > now ? ", planned" : "");
    range.setAttribute("aria-valuetext", shown.textContent);
  };
  words();
  range.addEventListener("input", () => {
    field.value = turns[Number(range.value)];
    words();
  });
  range.addEventListener("change", () => range.form.requestSubmit());
  slider.hidden = turns.length < 2;
}

const actions = {
  m: () => {
    if (nodes) beginMove();
  },
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

// A page of figures is fetched again when the server says that more arrived, unless that
// would disturb: somebody types, a menu or dialog is open, text is selected.
const live = document.getElementById("live");
const main = document.getElementById("main");

function disturbs() {
  if (document.querySelector("dialog[open], main details.menu[open]")) return true;
  if (main.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) return true;
  return !(getSelection()?.isCollapsed ?? true);
}

if (live && "EventSource" in window) {
  let on = true;
  let source = null;
  let waiting = false; // more arrived than is shown
  let fetching = false;
  let last = 0;
  const apart = 3000;

  const say = (text, when = "") => {
    const rest = document.createElement("span");
    rest.className = "when";
    rest.textContent = when;
    live.replaceChildren(text, rest);
  };

  const refresh = async () => {
    if (!on || !waiting || fetching || document.hidden) return;
    const rest = last + apart - Date.now();
    if (rest > 0 || disturbs()) {
      setTimeout(refresh, Math.max(rest, 1000));
      return;
    }
    fetching = true;
    waiting = false;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { "X-Tollbook-Live": "1" } });
      if (!answer.ok || answer.redirected) {
        pause("Stopped");
        return;
      }
      const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
      if (!next || !on) return;
      if (disturbs()) {
        waiting = true;
        setTimeout(refresh, 1000);
        return;
      }
      const focused = main.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      main.replaceChildren(...next.childNodes);
      enhance(main);
      if (focused) [...main.querySelectorAll("a[href]")].find((a) => a.getAttribute("href") === focused)?.focus();
      say("Live", " · " + new Date().toLocaleTimeString());
    } catch {
      waiting = true; // the network was away: the stream says when it is back
    } finally {
      fetching = false;
    }
  };

  const close = () => {
    source?.close();
    source = null;
  };

  const open = () => {
    if (source || !on || document.hidden) return;
    source = new EventSource(live.dataset.live);
    for (const news of ["usage", "installation", "log"]) {
      source.addEventListener(news, () => {
        waiting = true;
        refresh();
      });
    }
  };

  const pause = (text) => {
    on = false;
    close();
    live.setAttribute("aria-pressed", "false");
    say(text);
  };

  const keep = (value) => {
    try {
      localStorage.setItem("live", value);
    } catch {
      // A browser that keeps nothing begins live.
    }
  };

  try {
    if (localStorage.getItem("live") === "off") pause("Live paused");
  } catch {
    // as above
  }
  live.hidden = false;
  live.addEventListener("click", () => {
    if (on) {
      pause("Live paused");
      keep("off");
      return;
    }
    on = true;
    live.setAttribute("aria-pressed", "true");
    say("Live");
    keep("on");
    waiting = true; // whatever arrived meanwhile
    open();
    refresh();
  });
  // A hidden page asks for nothing; when it is seen again it looks once.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      return;
    }
    waiting = true;
    open();
    refresh();
  });
  open();
}

// A short name follows the name beside it until somebody writes one; what it makes of an
// address is shown. The server has the last word, and suggests one by itself.
for (const short of document.querySelectorAll("[data-shortens]")) {
  const name = document.getElementById(short.dataset.shortens);
  const shown = document.querySelector(`[data-shortened="${short.id}"]`);
  let own = short.value !== "";
  const show = () => {
    shown.textContent = short.value || "…";
  };
  name.addEventListener("input", () => {
    if (own) return;
    short.value = name.value.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^[^a-z]+/, "").slice(0, 40).replace(/-$/, "");
    show();
  });
  short.addEventListener("input", () => {
    own = short.value !== "";
    show();
  });
}
