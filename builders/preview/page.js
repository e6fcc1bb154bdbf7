// The page: list, search, filters, keys and the open sample. Only the visible lines and the open sample are loaded.
"use strict";

(() => {
  const LINE = 60;
  const CHUNK = 100;
  const MAX_HEIGHT = 8_000_000; // pixels; browsers stop at some 33 million
  const at = (id) => document.getElementById(id);
  const list = at("list");
  const spacer = at("spacer");
  const sample = at("sample");

  const state = { filter: { mix: "", finding: "", search: "" }, total: 0, position: -1, n: null, overview: null };
  let chunks = new Map();
  let drawn = new Map();
  let request = 0; // of the open sample; an answer to an older request is dropped

  // ---- the address

  function fromAddress() {
    const query = new URLSearchParams(location.hash.slice(1));
    state.filter = { mix: query.get("mix") || "", finding: query.get("finding") || "", search: query.get("search") || "" };
    at("search").value = state.filter.search;
    return /^\d{1,15}$/.test(query.get("n") || "") ? Number(query.get("n")) : null;
  }

  function toAddress() {
    const query = new URLSearchParams();
    if (state.n !== null) query.set("n", state.n);
    for (const [name, value] of Object.entries(state.filter)) if (value) query.set(name, value);
    history.replaceState(null, "", `#${query}`);
  }

  // ---- the list

  const scale = () => Math.min(1, MAX_HEIGHT / Math.max(1, state.total * LINE));

  async function chunk(number) {
    if (!chunks.has(number)) {
      const current = chunks;
      const lines = mm.source.lines(state.filter, number * CHUNK, CHUNK).catch(() => (current.delete(number), { lines: [], total: state.total }));
      current.set(number, lines);
      const found = await lines;
      const mayGrow = found.lines.length < CHUNK && state.overview && !state.overview.done;
      if (current === chunks && mayGrow) current.delete(number);
      return found;
    }
    return chunks.get(number);
  }

  async function line(position) {
    const found = await chunk(Math.floor(position / CHUNK));
    return found.lines[position % CHUNK];
  }

  function drawList() {
    spacer.style.height = `${state.total * LINE * scale()}px`;
    const top = list.scrollTop;
    const room = list.clientHeight;
    const reach = Math.max(1, state.total * LINE * scale() - room);
    const real = scale() === 1 ? top : (top / reach) * Math.max(0, state.total * LINE - room);
    const first = Math.max(0, Math.floor(real / LINE) - 4);
    const last = Math.min(state.total, Math.ceil((real + room) / LINE) + 4);
    for (const [position, element] of drawn) {
      if (position < first || position >= last) {
        element.remove();
        drawn.delete(position);
      }
    }
    for (let position = first; position < last; position++) {
      if (!drawn.has(position)) {
        const element = mm.element("div", { className: "line waiting", role: "option", id: `line-${position}` }, mm.element("p", { className: "excerpt" }), mm.element("p", { className: "about" }));
        element.addEventListener("click", () => open(position, true));
        drawn.set(position, element);
        spacer.append(element);
        fill(element, position, drawn);
      }
      const element = drawn.get(position);
      element.style.top = `${position * LINE - real + top}px`;
      element.setAttribute("aria-selected", String(position === state.position));
      element.setAttribute("aria-posinset", String(position + 1));
      element.setAttribute("aria-setsize", String(state.total));
    }
    if (state.position >= 0) list.setAttribute("aria-activedescendant", `line-${state.position}`);
  }

  async function fill(element, position, current) {
    const found = await line(position);
    if (!found || current !== drawn) return;
    const { n, id, mix, state: sampleState, severity, excerpt } = found;
    const text = excerpt || (sampleState === "row" ? "no text" : "cannot be read");
    const dot = severity ? mm.element("span", { className: `dot ${severity}`, title: sampleState === "row" ? severity : "rejected" }) : null;
    element.classList.remove("waiting");
    element.replaceChildren(
      mm.element("p", { className: excerpt ? "excerpt" : "excerpt none", dir: "auto" }, text),
      mm.element("p", { className: "about" }, mm.element("span", {}, `#${mm.number(n + 1)}`), mm.element("bdi", { title: "id" }, id), mix ? mm.glyphs(mix) : null, dot),
    );
  }

  function reveal(position) {
    const room = list.clientHeight;
    if (scale() === 1) {
      if (position * LINE < list.scrollTop) list.scrollTop = position * LINE;
      else if ((position + 1) * LINE > list.scrollTop + room) list.scrollTop = (position + 1) * LINE - room;
    } else if (!drawn.has(position) || isOutside(drawn.get(position))) {
      const reach = state.total * LINE * scale() - room;
      list.scrollTop = (Math.max(0, position * LINE - room / 2) / (state.total * LINE - room)) * reach;
    }
    drawList();
  }

  function isOutside(element) {
    const [line, window_] = [element.getBoundingClientRect(), list.getBoundingClientRect()];
    return line.top < window_.top || line.bottom > window_.bottom;
  }

  // ---- filters

  function drawFilters() {
    const { mixes, findings, states } = state.overview;
    const rejected = (states.rejected || 0) + (states.file || 0);
    const pill = (name, value, count, kind, ...marks) =>
      mm.element("button", { type: "button", className: `pill ${kind}`, "aria-pressed": String(state.filter[name] === value), onclick: () => choose(name, value), "data-filter": `${name}=${value}` }, ...marks, mm.element("small", {}, mm.number(count)));
    const named = Object.entries(mixes).filter(([mix]) => mix);
    const parts = [];
    if (named.length > 1 || state.filter.mix) parts.push(mm.element("h2", {}, "Mix"), ...named.map(([mix, count]) => pill("mix", mix, count, "", mm.glyphs(mix), mm.element("span", {}, mix))));
    if (findings.length || rejected || state.filter.finding) {
      parts.push(mm.element("h2", {}, "Findings"));
      const dot = () => mm.element("i", { className: "dot" });
      if (rejected) parts.push(pill("finding", "rejected", rejected, "error", dot(), mm.element("span", {}, "rejected")));
      for (const { code, name, count, severity } of findings) parts.push(pill("finding", code, count, severity, dot(), mm.element("span", { title: code }, name)));
    }
    const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.filter : undefined;
    at("filters").replaceChildren(...parts);
    at("filters").hidden = !parts.length;
    if (focused) document.querySelector(`[data-filter="${CSS.escape(focused)}"]`)?.focus();
  }

  function choose(name, value) {
    state.filter = { ...state.filter, [name]: state.filter[name] === value ? "" : value };
    refilter();
  }

  function clearFilter() {
    state.filter = { mix: "", finding: "", search: "" };
    at("search").value = "";
    refilter();
  }

  async function refilter() {
    forgetLines();
    list.scrollTop = 0;
    await count();
    drawFilters();
    if (!state.total) return showEmpty();
    const place = state.n === null ? 0 : await mm.source.position(state.filter, state.n);
    const there = place < state.total ? await line(place) : null;
    open(there && there.n === state.n ? place : 0, false);
  }

  function forgetLines() {
    chunks = new Map();
    for (const element of drawn.values()) element.remove();
    drawn = new Map();
  }

  async function count() {
    const { filter } = state;
    const found = await mm.source.lines(filter, 0, 0);
    if (filter !== state.filter) return;
    state.total = found.total;
    const all = state.overview ? state.overview.count : 0;
    at("found").textContent = state.total === all ? `${mm.number(all)} ${all === 1 ? "sample" : "samples"}` : `${mm.number(state.total)} of ${mm.number(all)} samples`;
    at("total").textContent = `of ${mm.number(state.total)}`;
    drawList();
    updateNavigation();
  }

  // ---- the sample

  async function open(position, closeList) {
    if (position < 0 || position >= state.total) return;
    const mine = ++request;
    state.position = position;
    if (closeList) showList(false);
    reveal(position);
    updateNavigation();
    let sheet;
    try {
      const found = await line(position);
      if (!found || mine !== request) return;
      state.n = found.n;
      toAddress();
      sheet = await mm.source.sample(found.n);
    } catch (error) {
      if (mine === request) showMessage("This sample cannot be read", error.message);
      return;
    }
    if (mine !== request) return;
    mm.pinned = null;
    const columnsOpen = document.getElementById("columns")?.open;
    sample.replaceChildren(mm.draw(sheet));
    sample.scrollTop = 0;
    if (document.activeElement === document.body) sample.focus({ preventScroll: true }); // so that arrows and space scroll it
    if (columnsOpen && at("columns")) at("columns").open = true;
    document.title = `${sheet.id} · ${state.overview.title}`;
  }

  function showMessage(title, text, ...more) {
    state.position = -1;
    request++;
    sample.replaceChildren(mm.element("div", { className: "message" }, mm.element("strong", {}, title), mm.element("p", { dir: "auto" }, text), ...more));
    toAddress();
    updateNavigation();
  }

  function showEmpty() {
    const { done, error, count: all } = state.overview;
    if (all) {
      const clear = mm.element("button", { type: "button", className: "plain", onclick: clearFilter }, "Clear search and filters");
      showMessage("No sample matches", "No sample has all these words, this mix and this finding.", clear);
    } else if (done) showMessage("There are no samples", error);
    else showMessage("Reading samples …", "");
  }

  function updateNavigation() {
    const input = at("position");
    if (document.activeElement !== input) input.value = state.position < 0 ? "–" : String(state.position + 1);
    at("previous").disabled = state.position <= 0;
    at("next").disabled = state.position + 1 >= state.total;
  }

  const step = (by) => open(state.position + by, false);

  // ---- progress of the listing

  function showStatus() {
    const { title, count: all, done, error, states, total } = state.overview;
    at("title").textContent = title;
    const rejected = (states.rejected || 0) + (states.file || 0);
    const counts = total && total > all ? `${mm.number(all)} of ${mm.number(total)} samples` : `${mm.number(all)} ${all === 1 ? "sample" : "samples"}`;
    at("status").textContent = [done ? counts : `${counts} so far …`, rejected ? `${mm.number(rejected)} rejected` : "", error ? `stopped: ${error}` : ""].filter(Boolean).join(" · ");
    document.body.dataset.done = String(done);
  }

  async function poll() {
    const before = state.overview ? state.overview.count : -1;
    try {
      state.overview = await mm.source.overview();
    } catch {
      at("status").textContent = "The server has stopped.";
      return;
    }
    showStatus();
    if (state.overview.count !== before) {
      drawFilters();
      await count();
      if (state.position < 0 && state.total) {
        if (first !== null) {
          const place = await mm.source.position(state.filter, first);
          const there = place < state.total ? await line(place) : null;
          if (there && there.n === first) open(place, false);
          else if (state.overview.done) open(0, false);
          else return void setTimeout(poll, 300); // the sample in the address is not listed yet
        } else open(0, false);
        first = null;
      }
    }
    if (!state.total) showEmpty();
    if (!state.overview.done) setTimeout(poll, 500);
  }

  // ---- input

  function showList(isOpen) {
    at("pane").classList.toggle("open", isOpen);
    at("shade").hidden = !isOpen;
    at("menu").setAttribute("aria-expanded", String(isOpen));
    if (isOpen) drawList();
  }

  function toggleTheme() {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    setTheme(dark ? "light" : "dark");
  }

  function setTheme(name) {
    document.documentElement.dataset.theme = name;
    try {
      localStorage.setItem("modalmix-theme", name);
    } catch {
      // a page from the disk may have no storage; then the choice lasts as long as the page
    }
  }

  function toggleMasks() {
    document.body.classList.toggle("masks-off");
  }

  function play() {
    const player = sample.querySelector("video, audio");
    if (player) player.paused ? player.play() : player.pause();
    return Boolean(player);
  }

  let typing = 0;
  at("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      state.filter = { ...state.filter, search: at("search").value };
      refilter();
    }, 180);
  });
  at("search-form").addEventListener("submit", (event) => (event.preventDefault(), list.focus()));
  at("previous").addEventListener("click", () => step(-1));
  at("next").addEventListener("click", () => step(1));
  at("position").addEventListener("focus", (event) => event.target.select());
  at("position").addEventListener("change", (event) => {
    const number = Number(event.target.value.replace(/[^\d]/g, ""));
    event.target.blur();
    if (number >= 1) open(Math.min(number, state.total) - 1, false);
    updateNavigation();
  });
  at("menu").addEventListener("click", () => showList(!at("pane").classList.contains("open")));
  at("shade").addEventListener("click", () => showList(false));
  at("theme").addEventListener("click", toggleTheme);
  at("help").addEventListener("click", () => at("keys").showModal());
  at("large-close").addEventListener("click", () => at("large").close());
  at("large-previous").addEventListener("click", () => mm.largeStep(-1));
  at("large-next").addEventListener("click", () => mm.largeStep(1));
  at("large").addEventListener("click", (event) => event.target === at("large") && at("large").close());
  list.addEventListener("scroll", drawList, { passive: true });
  new ResizeObserver(drawList).observe(list);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const inField = event.target.closest("input, textarea");
    if (event.key === "Escape") {
      if (inField) inField.blur();
      showList(false);
      return;
    }
    if (inField) return;
    const sideways = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (at("large").open) {
      if (sideways) mm.largeStep(sideways);
      else if (event.key === "m") toggleMasks();
      else return;
      return event.preventDefault();
    }
    if (at("keys").open) return;
    if (event.target.closest("video, audio, .frames") && (sideways || event.key === " ")) return;
    const inList = document.activeElement === list;
    const actions = {
      j: () => step(1), k: () => step(-1), ArrowRight: () => step(1), ArrowLeft: () => step(-1),
      "/": () => { if (matchMedia("(max-width: 820px)").matches) showList(true); at("search").focus(); at("search").select(); },
      m: toggleMasks, t: toggleTheme, "?": () => at("keys").showModal(),
      c: () => { const columns = document.getElementById("columns"); if (columns) { columns.open = !columns.open; if (columns.open) columns.scrollIntoView({ block: "start" }); } },
      ...(inList ? { ArrowDown: () => step(1), ArrowUp: () => step(-1), Home: () => open(0, false), End: () => open(state.total - 1, false) } : {}),
      ...(event.target.closest("button, summary") ? {} : { " ": play }),
    };
    const action = actions[event.key];
    if (action) {
      if (action() === false) return; // nothing to play: the key scrolls
    } else if (/^[1-9]$/.test(event.key)) mm.highlight(mm.pinned === Number(event.key) - 1 ? null : Number(event.key) - 1, true);
    else return;
    event.preventDefault();
  });
  addEventListener("hashchange", () => {
    const n = fromAddress();
    state.n = n;
    refilter();
  });

  try {
    if (localStorage.getItem("modalmix-theme")) document.documentElement.dataset.theme = localStorage.getItem("modalmix-theme");
  } catch {
    // without storage there is no saved choice
  }
  let first = fromAddress();
  poll();
})();
