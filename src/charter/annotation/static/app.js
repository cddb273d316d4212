"use strict";
// One page's worth of behaviour at a time; document.body.dataset.page says which.
(() => {
  const body = document.body;
  const $ = (selector, root = document) => root.querySelector(selector);
  const live = (text) => { $("#live").textContent = text; };
  const LETTERS = "ABCDEFGH";

  function el(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name === "html") made.innerHTML = value; // made safe by the server
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  function complain(text, bad = false) {
    const place = $("#alert");
    place.replaceChildren(...(text ? [el("p", { class: bad ? "bad" : "" }, text)] : []));
  }

  const kept = {
    get(name) { try { return JSON.parse(localStorage.getItem(name)); } catch { return null; } },
    set(name, value) { try { localStorage.setItem(name, JSON.stringify(value)); return true; } catch { return false; } },
    drop(name) { try { localStorage.removeItem(name); } catch { /* private mode keeps nothing */ } },
    names(start) { try { return Object.keys(localStorage).filter((name) => name.startsWith(start)).sort(); } catch { return []; } },
  };
  const PLACE = `charter:${body.dataset.store}:`;

  // Unguessable is not needed, unique is; randomUUID is missing where the page came over plain http.
  function newKey() {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    return `${Date.now().toString(36)}-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  }

  async function post(path, sent, token = $("meta[name=charter-token]").content) {
    let answer;
    try {
      answer = await fetch(path, {
        method: "POST", credentials: "same-origin", cache: "no-store",
        headers: { "content-type": "application/json", "x-charter-token": token },
        body: JSON.stringify(sent),
      });
    } catch {
      return { status: 0, data: { error: "the server does not answer", fix: "" } };
    }
    let data = {};
    try { data = await answer.json(); } catch { data = { error: `the server said ${answer.status}`, fix: "" }; }
    return { status: answer.status, data };
  }
  const said = (data) => `${data.error[0].toUpperCase()}${data.error.slice(1)}.${data.fix ? ` ${data.fix[0].toUpperCase()}${data.fix.slice(1)}.` : ""}`;
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  // ---- what was said and is not known to be saved yet: kept in the browser, sent until it is ----

  const outbox = {
    name: (key) => `${PLACE}out:${key}`,
    put(path, sent) {
      // In memory as well, for browsers that keep nothing.
      outbox.memory.set(sent.key, { path, sent });
      kept.set(outbox.name(sent.key), { path, sent });
    },
    memory: new Map(),
    drop(key) { outbox.memory.delete(key); kept.drop(outbox.name(key)); },
    all() {
      const found = new Map(outbox.memory);
      for (const name of kept.names(`${PLACE}out:`)) {
        const entry = kept.get(name);
        if (entry?.sent?.key) found.set(entry.sent.key, entry);
      }
      return [...found.values()].sort((a, b) => (a.sent.key < b.sent.key ? -1 : 1));
    },
    // Resolves when the server has answered for every entry: {key: {status, data}}.
    async flush() {
      const answers = new Map();
      let wait = 1000;
      for (;;) {
        const [first] = outbox.all();
        if (!first) { complain(""); return answers; }
        const answer = await post(first.path, first.sent);
        if (answer.status === 0 || answer.status >= 500) {
          complain(`Not saved yet: ${said(answer.data)} It is kept in this browser and sent again in ${Math.round(wait / 1000)} s.`);
          await pause(wait);
          wait = Math.min(wait * 2, 30000);
          continue;
        }
        if (answer.status === 401 || answer.status === 403) {
          complain(`Not saved yet: ${said(answer.data)} It is kept in this browser.`, true);
          throw new Error("signed out");
        }
        outbox.drop(first.sent.key);
        answers.set(first.sent.key, answer);
        if (answer.status !== 200) complain(said(answer.data), true);
        wait = 1000;
        if (!outbox.all().length) return answers;
      }
    },
  };

  // ---- the work ----

  const work = {
    item: null, draft: null, key: "", busy: false, shown: 0, seen: 0, since: 0,
    plain: kept.get("charter:plain") === true,
    keys: kept.get("charter:keys") !== false,
    diff: false,
  };
  const TASKS = {
    pair: "Which answer is better?", ranking: "Put the answers in order, the best first.",
    rating: "How well does the answer keep to the principle?", revision: "Make the answer better.",
    spans: "Mark the places that matter.",
  };

  function clockStart() { work.seen = 0; work.since = document.hidden ? 0 : performance.now(); }
  function clockRead() { return (work.seen + (work.since ? performance.now() - work.since : 0)) / 1000; }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && work.since) { work.seen += performance.now() - work.since; work.since = 0; }
    else if (!document.hidden) work.since = performance.now();
  });

  function textOf(one) {
    if (work.plain || !one.html) return el("div", { class: "text" }, el("div", { class: "plain" }, one.text));
    return el("div", { class: "text", html: one.html });
  }

  const draftName = () => `${PLACE}draft`;
  function keepDraft() { kept.set(draftName(), { presentation: work.item.presentation, draft: work.draft }); }
  function freshDraft(item) {
    const before = kept.get(draftName());
    if (before?.presentation === item.presentation && before.draft) return before.draft;
    return { choice: "", ranks: item.answers.map(() => 0), text: item.mode === "revision" ? item.answers[0].text : "", marks: [], rationale: "" };
  }

  async function advance(note = "") {
    work.busy = true;
    const held = setTimeout(() => live("One moment."), 600);
    let wait = 1000;
    for (;;) {
      const answer = await post("/api/next", {});
      if (answer.status === 200) { clearTimeout(held); complain(work.notice || "", Boolean(work.notice)); work.notice = ""; work.busy = false; show(answer.data, note); return; }
      if (answer.status !== 0 && answer.status < 500) { clearTimeout(held); complain(said(answer.data), true); return; }
      complain(`${said(answer.data)} Trying again.`);
      await pause(wait);
      wait = Math.min(wait * 2, 15000);
    }
  }

  function show(data, note) {
    const place = $("#item");
    place.dataset.shown = String(work.shown += 1);
    if (data.state !== "item") {
      work.item = null;
      const words = data.state === "paused"
        ? ["Paused", "The campaign is paused. What you said is saved; come back later."]
        : ["Done", "There is nothing more for you to label now. Thank you."];
      place.replaceChildren(
        el("h1", { tabindex: "-1" }, words[0]), el("p", {}, `${words[1]} You have labelled ${data.done}.`),
        el("p", { class: "row" },
          el("button", { type: "button", onclick: () => advance() }, "Look again"),
          el("button", { type: "button", onclick: undo }, "Take back the last ", el("kbd", {}, "u"))));
      $("h1", place).focus();
      live(`${note} ${words[0]}.`);
      return;
    }
    work.item = data.item; work.done = data.done; work.key = newKey(); work.draft = freshDraft(data.item); work.diff = data.item.mode === "revision";
    work.cursor = 0; work.anchor = 0;
    clockStart();
    draw();
    $("h1", place).focus({ preventScroll: true });
    scrollTo(0, 0);
    live(`${note} ${TASKS[data.item.mode]}`);
  }

  function draw() {
    const { item } = work;
    const asked = item.mode === "rating" && !item.principle ? "How good is the answer?" : TASKS[item.mode];
    const heading = item.mode === "pair" && item.principle ? "Which answer keeps better to the principle?" : asked;
    $("#item").replaceChildren(
      el("h1", { tabindex: "-1" }, heading),
      el("p", { class: "task" }, el("span", {}, `${work.done} labelled`), el("button", { type: "button", class: "small", onclick: openRubric }, item.principle ? "Rubric and keys " : "Keys ", el("kbd", {}, "?"))),
      item.principle ? el("div", { class: "under" }, el("b", {}, item.principle.title), " ", el("div", { class: "md", html: item.principle.html })) : el("div"),
      el("section", { "aria-label": "What was asked" }, ...item.prompt.map((turn) => el("div", { class: "turn" }, el("span", { class: "role" }, turn.role), textOf(turn)))),
      ...VIEWS[item.mode](item),
      rationale(),
      bar(item));
    body.classList.toggle("keys-off", !work.keys);
    paint();
  }

  const answerCard = (answer, several, extra = null) => el("article", { class: "answer", "data-letter": answer.letter, "aria-label": several ? `Answer ${answer.letter}` : "Answer" },
    el("h2", {}, el("span", {}, several ? `Answer ${answer.letter}` : "Answer"), extra), textOf(answer));

  function radios(name, legend, options, kind = "choices") {
    return el("fieldset", { class: kind === "scale" ? "" : `choices ${name}` }, el("legend", {}, legend),
      ...(kind === "scale" ? [el("div", { class: "scale" }, ...options.map((one) => radio(name, one)))] : options.map((one) => radio(name, one))));
  }
  function radio(name, [key, value, words, more]) {
    return el("label", { class: "choice" },
      el("input", { type: "radio", name, value, onchange: () => choose(value) }),
      el("kbd", { "aria-hidden": "true" }, key), el("span", {}, more === undefined ? words : el("b", {}, words), more ? ` ${more}` : ""));
  }

  const VIEWS = {
    pair: (item) => [
      el("div", { class: "answers n2" }, ...item.answers.map((answer) => answerCard(answer, true))),
      el("div", { id: "diff" }),
      radios("pair", "Your choice", [["1", "2", "A much better"], ["2", "1", "A better"], ["0", "tie", "Tie"], ["3", "-1", "B better"], ["4", "-2", "B much better"], ["9", "both_bad", "Both bad"]]),
    ],
    ranking: (item) => [
      el("div", { class: `answers n${item.answers.length}` }, ...item.answers.map((answer, index) => answerCard(answer, true,
        el("label", {}, el("kbd", { "aria-hidden": "true" }, answer.letter.toLowerCase()), ` Rank `, el("select", { "aria-label": `Rank of answer ${answer.letter}`, "data-rank": index, onchange: (event) => { work.draft.choice = ""; work.draft.ranks[index] = Number(event.target.value); changed(); } },
          el("option", { value: "0" }, "-"), ...item.answers.map((_, rank) => el("option", { value: String(rank + 1) }, String(rank + 1)))))))),
      el("p", { id: "order", class: "quiet" }),
      radios("ranking", "Or all of them", [["0", "tie", "Equally good"], ["9", "both_bad", "All bad"]]),
    ],
    rating: (item) => [
      el("div", { class: "answers n1" }, ...item.answers.map((answer) => answerCard(answer, false))),
      radios("rating", "Your rating", [...levels(item).map(([rating, words]) => [String(rating % 10), String(rating), String(rating), words]), ...(item.principle ? [["n", "not_applicable", "Not applicable", "the principle is not about this"]] : [])], "scale"),
    ],
    revision: (item) => [
      el("div", { class: "answers n1" }, ...item.answers.map((answer) => answerCard(answer, false))),
      el("p", { class: "field" }, el("label", { for: "edit" }, "Your version ", el("kbd", { "aria-hidden": "true" }, "e")), editor()),
      el("div", { id: "diff" }),
      radios("revision", "Or", [["n", "not_applicable", "Nothing needs changing"]]),
    ],
    spans: (item) => [
      el("div", { class: "answers n1" }, el("article", { class: "answer", "aria-label": "Answer" }, el("h2", {}, "Answer"),
        el("div", { class: "words", id: "words", tabindex: "0", role: "group", "aria-label": "The answer word by word. Arrow keys move, with shift they select; a number marks.", onkeydown: wordKeys, onpointerdown: wordDown, onpointerover: wordOver },
          ...item.words.map((word, index) => el("span", { "data-word": index }, word.text))))),
      el("fieldset", { class: "choices" }, el("legend", {}, "Mark what is selected as"),
        ...item.tags.map((tag, index) => el("button", { type: "button", class: `m${index + 1}`, onclick: () => mark(index) }, el("kbd", { "aria-hidden": "true" }, String(index + 1)), ` ${tag}`))),
      el("ul", { class: "marks", id: "marks", "aria-label": "Marks" }),
      radios("spans", "Or", [["n", "not_applicable", "Nothing to mark"]]),
    ],
  };
  const levels = (item) => item.principle ? item.principle.levels : Array.from({ length: item.scale }, (_, index) => [index + 1, ["very bad", ...Array(item.scale - 2).fill(""), "very good"][index]]);

  function editor() {
    const area = el("textarea", { id: "edit", class: "edit", spellcheck: "true", oninput: (event) => { work.draft.text = event.target.value; work.draft.choice = ""; changed(); } });
    area.value = work.draft.text;
    return area;
  }
  function rationale() {
    const area = el("textarea", { id: "why", rows: "2", maxlength: "5000", oninput: (event) => { work.draft.rationale = event.target.value; keepDraft(); } });
    area.value = work.draft.rationale;
    return el("p", { class: "field" }, el("label", { for: "why" }, "Why ", el("span", { class: "quiet" }, "(optional) "), el("kbd", { "aria-hidden": "true" }, "r")), area);
  }
  function bar(item) {
    const comparable = item.mode === "pair" || item.mode === "revision";
    const button = (words, key, action, attributes = {}) => el("button", { type: "button", onclick: action, ...attributes }, `${words} `, el("kbd", { "aria-hidden": "true" }, key));
    return el("div", { class: "bar", role: "group", "aria-label": "Actions" },
      button("Submit", "Enter", submit, { class: "go", id: "submit" }), button("Skip", "s", skip), button("Undo last", "u", undo),
      el("span", { class: "space" }),
      item.mode === "spans" ? null : button("Plain text", "p", togglePlain, { id: "plain", "aria-pressed": String(work.plain) }),
      comparable ? button("Differences", "d", toggleDiff, { id: "differences", "aria-pressed": String(work.diff) }) : null);
  }

  function changed() { keepDraft(); paint(); }
  function choose(value) {
    work.draft.choice = value;
    if (work.item.mode === "ranking") work.draft.ranks.fill(0);
    changed();
  }

  // Bring what is shown in line with the draft.
  function paint() {
    const { item, draft } = work;
    for (const input of document.querySelectorAll("#item input[type=radio]")) input.checked = input.value === draft.choice;
    if (item.mode === "pair") {
      const sign = Number(draft.choice) || 0;
      for (const card of document.querySelectorAll(".answer")) card.classList.toggle("chosen", (sign > 0 && card.dataset.letter === "A") || (sign < 0 && card.dataset.letter === "B"));
    }
    if (item.mode === "ranking") paintRanks();
    if (item.mode === "spans") paintMarks();
    if ($("#diff")) $("#diff").replaceChildren(...(work.diff ? [diffView(item)] : []));
  }
  function paintRanks() {
    const { ranks } = work.draft;
    for (const select of document.querySelectorAll("[data-rank]")) select.value = String(ranks[Number(select.dataset.rank)]);
    const ordered = [...new Set(ranks)].filter(Boolean).sort((a, b) => a - b).map((rank) => ranks.flatMap((own, index) => (own === rank ? [LETTERS[index]] : [])).join(" = "));
    $("#order").textContent = ordered.length ? `Order: ${ordered.join(" > ")}` : "Press the letters of the answers, the best first; = before a letter puts it beside the last one, Backspace takes it back.";
  }

  function rankKey(letter) {
    const index = LETTERS.indexOf(letter.toUpperCase());
    const { ranks } = work.draft;
    if (index < 0 || index >= ranks.length || ranks[index]) return;
    work.draft.choice = "";
    const last = Math.max(...ranks);
    ranks[index] = work.beside && last ? last : last + 1;
    work.beside = false;
    live(`Answer ${LETTERS[index]} has rank ${ranks[index]}`);
    changed();
  }
  function unrank() {
    const { ranks } = work.draft;
    const last = Math.max(...ranks);
    if (last) { work.draft.ranks = ranks.map((rank) => (rank === last ? 0 : rank)); changed(); live("Last rank taken back"); }
  }

  // ---- marks ----

  const chosenWords = () => [Math.min(work.cursor, work.anchor), Math.max(work.cursor, work.anchor)];
  function paintMarks() {
    const { item, draft } = work;
    const [from, to] = chosenWords();
    for (const span of document.querySelectorAll("#words span")) {
      const index = Number(span.dataset.word);
      const found = draft.marks.findLast((one) => index >= one.from && index <= one.to);
      span.className = `${found ? `m${found.tag + 1}` : ""}${index >= from && index <= to ? " sel" : ""}${index === work.cursor ? " cur" : ""}`;
    }
    $("#marks").replaceChildren(...draft.marks.map((one, index) => el("li", {},
      el("span", {}, el("span", { class: `tag m${one.tag + 1}` }, item.tags[one.tag]), ` ${wordsOf(one.from, one.to)}`),
      el("button", { type: "button", class: "small", "aria-label": `Remove mark ${index + 1}`, onclick: () => { draft.marks.splice(index, 1); changed(); $("#words").focus(); } }, "Remove"))));
  }
  const wordsOf = (from, to) => work.item.words.slice(from, to + 1).map((word) => word.text).join("").trim();
  function move(to, extend) {
    work.cursor = Math.max(0, Math.min(work.item.words.length - 1, to));
    if (!extend) work.anchor = work.cursor;
    paintMarks();
    $(`[data-word="${work.cursor}"]`).scrollIntoView({ block: "nearest" });
    live(wordsOf(...chosenWords()));
  }
  function wordKeys(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8 };
    if (event.key in steps) { event.preventDefault(); move(work.cursor + steps[event.key], event.shiftKey); }
    else if (event.key === "Home") { event.preventDefault(); move(0, event.shiftKey); }
    else if (event.key === "End") { event.preventDefault(); move(work.item.words.length - 1, event.shiftKey); }
    else if (event.key === "Backspace") { event.preventDefault(); if (work.draft.marks.pop()) { changed(); live("Last mark removed"); } }
  }
  function wordDown(event) { const index = event.target.dataset.word; if (index !== undefined) { work.dragging = true; move(Number(index), event.shiftKey); } }
  function wordOver(event) { const index = event.target.dataset.word; if (work.dragging && event.buttons && index !== undefined) move(Number(index), true); }
  document.addEventListener("pointerup", () => { work.dragging = false; });
  function mark(tag) {
    if (tag >= work.item.tags.length) return;
    const [from, to] = chosenWords();
    const same = work.draft.marks.findIndex((one) => one.from === from && one.to === to && one.tag === tag);
    if (same >= 0) work.draft.marks.splice(same, 1); else work.draft.marks.push({ from, to, tag });
    work.draft.choice = "";
    live(`${same >= 0 ? "Unmarked" : "Marked"} as ${work.item.tags[tag]}: ${wordsOf(from, to)}`);
    changed();
  }

  // ---- differences, word by word ----

  function diffView(item) {
    const before = item.answers[0].text, after = item.mode === "revision" ? work.draft.text : item.answers[1].text;
    const title = item.mode === "revision" ? "What you changed" : "From A to B";
    const parts = before === after ? ["Nothing yet."] : differences(before, after);
    return el("section", { class: "diff", "aria-label": title }, el("h2", {}, title), ...parts);
  }
  function differences(before, after) {
    const a = before.match(/\s+|[^\s]+/g) || [], b = after.match(/\s+|[^\s]+/g) || [];
    let start = 0, end = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
    while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
    const x = a.slice(start, a.length - end), y = b.slice(start, b.length - end);
    const middle = x.length * y.length > 4e6 ? [el("del", {}, x.join("")), el("ins", {}, y.join(""))] : common(x, y);
    return [a.slice(0, start).join(""), ...middle, end ? a.slice(-end).join("") : ""];
  }
  // Longest common subsequence: what both have stays, the rest went or came.
  function common(x, y) {
    const width = y.length + 1, table = new Uint32Array((x.length + 1) * width);
    for (let i = x.length - 1; i >= 0; i -= 1) for (let j = y.length - 1; j >= 0; j -= 1) table[i * width + j] = x[i] === y[j] ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    const parts = [];
    const add = (kind, text) => { const last = parts[parts.length - 1]; if (last && last.kind === kind) last.text += text; else parts.push({ kind, text }); };
    let i = 0, j = 0;
    while (i < x.length || j < y.length) {
      if (i < x.length && j < y.length && x[i] === y[j]) { add("", x[i]); i += 1; j += 1; }
      else if (j >= y.length || (i < x.length && table[(i + 1) * width + j] >= table[i * width + j + 1])) { add("del", x[i]); i += 1; }
      else { add("ins", y[j]); j += 1; }
    }
    return parts.map((part) => (part.kind ? el(part.kind, {}, part.text) : part.text));
  }

  // ---- saying it ----

  function sayable() {
    const { item, draft } = work;
    const sent = { key: work.key, presentation: item.presentation, outcome: "judged", rationale: draft.rationale, seconds: clockRead(), view: work.plain || item.mode === "spans" ? "plain" : "markdown" };
    if (["tie", "both_bad", "not_applicable"].includes(draft.choice)) return { ...sent, outcome: draft.choice };
    if (item.mode === "pair") return draft.choice ? { ...sent, margin: Number(draft.choice) } : "Choose first: 1 to 4, 0 for a tie, 9 for both bad.";
    if (item.mode === "ranking") {
      if (!draft.ranks.every(Boolean)) return "Give every answer a rank first.";
      return new Set(draft.ranks).size === 1 ? { ...sent, outcome: "tie" } : { ...sent, ranks: draft.ranks };
    }
    if (item.mode === "rating") return draft.choice ? { ...sent, rating: Number(draft.choice) } : "Choose a rating first.";
    if (item.mode === "revision") {
      if (!draft.text.trim()) return "Your version is empty.";
      return draft.text.trim() === item.answers[0].text.trim() ? "Nothing was changed. Press n if nothing needs changing." : { ...sent, text: draft.text };
    }
    if (!draft.marks.length) return "Mark something first, or press n if there is nothing to mark.";
    const bounds = (one) => { const first = item.words[one.from], last = item.words[one.to]; const trimmed = last.text.length - last.text.trimEnd().length; const lead = first.text.length - first.text.trimStart().length; return [first.start + lead, last.end - trimmed, item.tags[one.tag]]; };
    return { ...sent, spans: draft.marks.map(bounds) };
  }

  async function send(path, sent, note) {
    if (work.busy) return;
    work.busy = true;
    outbox.put(path, sent);
    try {
      const answer = (await outbox.flush()).get(sent.key);
      work.busy = false;
      if (answer && answer.status !== 200) {
        work.key = newKey(); // the refused one stays refused
        if (answer.status !== 409) return; // the item is still here to be mended
        work.notice = said(answer.data);
      }
      if (answer?.data?.revealed) work.revealed = answer.data.revealed;
      if (path === "/api/submit" && answer?.status === 200) kept.drop(draftName());
      await advance(note);
      reveal();
    } catch { work.busy = false; }
  }
  function submit() {
    if (!work.item || work.busy) return;
    const sent = sayable();
    if (typeof sent === "string") { complain(sent); return; }
    send("/api/submit", sent, "Saved.");
  }
  function skip() {
    if (!work.item) return;
    send("/api/submit", { key: work.key, presentation: work.item.presentation, outcome: "skipped", rationale: work.draft.rationale, seconds: clockRead(), view: work.plain ? "plain" : "markdown" }, "Skipped.");
  }
  function undo() { send("/api/undo", { key: newKey() }, "Taken back."); }
  function reveal() {
    const shown = work.revealed;
    work.revealed = null;
    if (!shown) return;
    const judges = Object.entries(shown.judges).map(([name, words]) => `${name}: ${words}`);
    const models = shown.models.map((name, index) => `${LETTERS[index]} by ${name}`);
    $("#item").append(el("p", { class: "revealed" }, `The one before: ${[...models, ...judges].join("; ")}.`));
  }

  function togglePlain() { work.plain = !work.plain; kept.set("charter:plain", work.plain); draw(); $("#plain")?.focus(); live(work.plain ? "Plain text" : "Rendered"); }
  function toggleDiff() { work.diff = !work.diff; draw(); $("#differences")?.focus(); live(work.diff ? "Differences shown" : "Differences hidden"); }

  // ---- the rubric and the keys ----

  const KEYS = {
    pair: [["1 2", "A much better, A better"], ["3 4", "B better, B much better"], ["0", "tie"], ["9", "both bad"], ["d", "differences"]],
    ranking: [["a b ...", "that answer comes next"], ["=", "the next one stands beside the last"], ["Backspace", "takes the last back"], ["0", "equally good"], ["9", "all bad"]],
    rating: [["1 2 ...", "the rating"], ["n", "not applicable"]],
    revision: [["e", "into the text; Esc leaves it, Ctrl Enter submits from there"], ["n", "nothing needs changing"], ["d", "differences"]],
    spans: [["w", "into the words; arrows move, with Shift they select"], ["1 2 ...", "mark; again: unmark"], ["Backspace", "removes the last mark"], ["n", "nothing to mark"]],
  };
  function openRubric() {
    const dialog = $("#rubric"), { item } = work;
    const own = item ? KEYS[item.mode] : [];
    const principle = item?.principle;
    const on = el("input", { type: "checkbox", onchange: (event) => { work.keys = event.target.checked; kept.set("charter:keys", work.keys); body.classList.toggle("keys-off", !work.keys); } });
    on.checked = work.keys;
    $(".dialog-body", dialog).replaceChildren(
      el("h2", { id: "rubric-title" }, principle ? principle.title : "Keys"),
      ...(principle ? [
        el("div", { class: "md", html: principle.html }),
        principle.applies_when ? el("p", {}, el("b", {}, "Applies when "), principle.applies_when) : null,
        el("dl", { class: "levels" }, ...principle.levels.filter(([, words]) => words).map(([rating, words]) => el("div", {}, el("dt", {}, String(rating)), el("dd", {}, words)))),
        principle.not_a_violation ? el("p", {}, el("b", {}, "No violation: "), principle.not_a_violation) : null,
        principle.why ? el("div", { html: principle.why }) : null,
        el("h2", {}, "Keys")].filter(Boolean) : []),
      el("dl", { class: "keylist" }, ...[...own, ["Enter", "submit"], ["s", "skip"], ["u", "undo the last"], ["r", "say why; Esc leaves the field"], ["p", "plain text or rendered"], ["?", "this page"]].flatMap(([key, words]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, words)])),
      el("p", {}, el("label", {}, on, " Keys of one letter are on")),
      el("p", {}, el("button", { type: "button", class: "go", onclick: () => dialog.close() }, "Back ", el("kbd", {}, "Esc"))));
    dialog.showModal();
  }

  const typing = (target) => target.matches?.("textarea, select, input:not([type=radio])");
  function onKey(event) {
    const dialog = $("#rubric");
    if (dialog.open) { if (event.key === "?") { event.preventDefault(); dialog.close(); } return; }
    if (typing(event.target)) {
      if (event.key === "Escape") { event.target.blur(); $("#item h1").focus(); }
      else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); submit(); }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    if (event.key === "Enter") {
      if (event.target.matches?.("button, a, summary")) return; // what has the focus is pressed
      event.preventDefault();
      submit();
      return;
    }
    if (work.keys && act(event.key)) event.preventDefault();
  }
  function act(key) {
    const always = { s: skip, u: undo, "?": openRubric, p: togglePlain };
    if (!work.item) return key === "u" ? (undo(), true) : false;
    const { mode } = work.item;
    if (mode === "ranking" && /^[a-h]$/.test(key)) { rankKey(key); return true; }
    if (key in always) { if (!(key === "p" && mode === "spans")) always[key](); return true; }
    if (key === "r") { $("#why").focus(); return true; }
    if (key === "d" && $("#differences")) { toggleDiff(); return true; }
    if (key === "e" && $("#edit")) { $("#edit").focus(); return true; }
    if (key === "w" && $("#words")) { $("#words").focus(); return true; }
    if (key === "n" && $("#item input[value=not_applicable]")) { pick("not_applicable"); return true; }
    if (mode === "ranking" && key === "=") { work.beside = true; return true; }
    if (mode === "ranking" && key === "Backspace") { unrank(); return true; }
    if (!/^[0-9]$/.test(key)) return false;
    if (mode === "spans") { mark(Number(key) - 1); return true; }
    const pair = { 0: "tie", 1: "2", 2: "1", 3: "-1", 4: "-2", 9: "both_bad" };
    const values = mode === "rating" ? { [key]: key === "0" ? "10" : key } : pair;
    if ($(`#item input[value="${values[key]}"]`)) pick(values[key]);
    return true;
  }
  function pick(value) {
    choose(value);
    const input = $(`#item input[value="${value}"]`);
    input.focus({ preventScroll: true });
    live(`${input.closest("label").querySelector("span").textContent.trim()} chosen. Enter submits.`);
  }

  async function startLabel() {
    document.addEventListener("keydown", onKey);
    addEventListener("beforeunload", (event) => { if (outbox.all().length) event.preventDefault(); });
    addEventListener("online", () => { if (!work.busy && outbox.all().length) startLabel.resume(); });
    startLabel.resume = async () => { try { await outbox.flush(); await advance(); } catch { /* said on the page */ } };
    await startLabel.resume();
  }

  // ---- the other pages ----

  function startEnter() {
    const token = location.hash.slice(1);
    // Out of the address bar and the history, so that it is not copied by mistake.
    if (token) history.replaceState(null, "", "/enter");
    else { $("#entering").textContent = "This page needs the link that you were given."; $("#enter").hidden = true; return; }
    $("#enter").addEventListener("click", async () => {
      $("#enter").disabled = true;
      const answer = await post("/api/enter", { token }, "enter");
      if (answer.status === 200) location.replace("/");
      else { complain(said(answer.data), true); $("#enter").disabled = answer.status !== 0 && answer.status < 500; }
    });
    $("#enter").focus();
  }
  async function asked(path, sent) {
    const answer = await post(path, sent);
    if (answer.status !== 200) complain(said(answer.data), true);
    return answer.status === 200 ? answer.data : null;
  }
  function startAdmin() {
    $("#pause").addEventListener("click", async (event) => { if (await asked("/api/admin/pause", { paused: event.target.dataset.paused !== "true" })) location.reload(); });
    for (const button of document.querySelectorAll("[data-link]")) button.addEventListener("click", async () => {
      const found = await asked("/api/admin/link", { rater: button.dataset.link });
      if (!found) return;
      $("#link").replaceChildren(`${button.getAttribute("aria-label")}: `, el("code", {}, location.origin + found.path));
      live("The link is below the table.");
    });
    for (const button of document.querySelectorAll("[data-rater]")) button.addEventListener("click", async () => { if (await asked("/api/admin/rater", { rater: button.dataset.rater, active: button.dataset.active === "true" })) location.reload(); });
  }
  function startMe() {
    $("#group")?.addEventListener("change", async (event) => { if (await asked("/api/group", { group: event.target.value })) live("Saved."); });
  }
  function startAdjudicate() {
    for (const entry of document.querySelectorAll(".case")) {
      const key = newKey();
      $(".decide", entry).addEventListener("click", async (event) => {
        const chosen = $("input:checked", entry)?.value, note = $("textarea", entry).value;
        if (!chosen) { complain("Choose a decision first."); return; }
        const sent = { key, item: entry.dataset.item, verdict: chosen === "unclear" ? "unclear" : "label", note };
        const turn = entry.dataset.turned === "1" ? -1 : 1;
        if (chosen.startsWith("m")) Object.assign(sent, { outcome: "judged", margin: turn * Number(chosen.slice(1)) });
        else if (chosen.startsWith("r")) Object.assign(sent, { outcome: "judged", rating: Number(chosen.slice(1)) });
        else if (chosen !== "unclear") sent.outcome = chosen;
        event.target.disabled = true;
        const saved = await asked("/api/adjudicate", sent);
        event.target.disabled = Boolean(saved);
        if (!saved) return;
        complain("");
        entry.classList.add("settled");
        $(".done", entry).textContent = saved.draft ? `Saved. Draft of a proposal: ${saved.draft}` : "Saved.";
      });
    }
  }

  ({ label: startLabel, enter: startEnter, admin: startAdmin, me: startMe, adjudicate: startAdjudicate }[body.dataset.page] || (() => {}))();
})();
