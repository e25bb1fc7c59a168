// The generation browser. What models wrote goes into text nodes and nowhere else: no markup is ever parsed here.
"use strict";
(() => {
  const PAGE = 50; // responses in the document at once
  const CLIP = 1200, CLIP_LINES = 20; // characters and lines of a text before "show all"
  const TYPING = 150; // milliseconds without a key before a filter that is typed applies
  const FILTERS = ["evaluation", "kind", "verdict", "disagree", "min", "max", "search", "problem", "sort"];
  const TYPED = ["min", "max", "search", "problem"];
  const MARKS = {correct: "✓", wrong: "✗", no_answer: "∅", truncated: "…", timed_out: "◷", unparseable_gold: "?"};
  const NAMES = {0x00: "NUL", 0x07: "BEL", 0x08: "BS", 0x0d: "CR", 0x1b: "ESC", 0x7f: "DEL"};
  // What has no shape of its own, or moves its neighbours: control, format and filler characters. Not the variation
  // selector of emoji, which would stand after each heart.
  const UNSEEN = /(?:(?![\n\t\uFE0F])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}])+/gu;

  const data = JSON.parse(document.getElementById("data").textContent);
  const {evaluations, problems, responses} = data;
  const total = responses.text.length;
  const labels = evaluations.map((evaluation) => evaluation.label);
  const ids = new Set(problems.map((problem) => problem.id));
  const control = Object.fromEntries(FILTERS.map((name) => [name, document.getElementById(name)]));
  const lowered = {}; // texts and prompts in lower case, made at the first search
  let page = 0, selected = [], timer = 0, applied = null;

  // ---- filters ----

  const valueOf = (name) => (control[name].type === "checkbox" ? (control[name].checked ? "1" : "") : control[name].value);

  function setValue(name, value) {
    const element = control[name];
    if (element.type === "checkbox") element.checked = value === "1" && !element.disabled;
    else element.value = value;
    if (element.selectedIndex === -1) element.selectedIndex = 0; // a link from another page names what is not here
  }

  function search(words) {
    lowered.texts ??= responses.text.map((text) => text.toLowerCase());
    lowered.prompts ??= problems.map((problem) => problem.prompt.toLowerCase());
    const prompts = lowered.prompts.map((prompt) => prompt.includes(words));
    return (i) => prompts[responses.problem[i]] || lowered.texts[i].includes(words);
  }

  function tests() {
    const found = [], value = Object.fromEntries(FILTERS.map((name) => [name, valueOf(name)]));
    const {evaluation, problem, kind, verdict, verdict_lenient: lenient, length} = responses;
    if (value.evaluation) {
      const wanted = labels.indexOf(value.evaluation);
      found.push((i) => evaluation[i] === wanted);
    }
    if (value.kind) found.push((i) => kind[i] === value.kind);
    if (value.verdict) found.push((i) => verdict[i] === value.verdict);
    if (value.disagree) found.push((i) => lenient[i] !== null && lenient[i] !== verdict[i]);
    if (value.min) found.push((i) => length[i] >= Number(value.min));
    if (value.max) found.push((i) => length[i] <= Number(value.max));
    if (value.problem) {
      const same = ids.has(value.problem) ? (id) => id === value.problem : (id) => id.startsWith(value.problem);
      const wanted = problems.map((problem) => same(problem.id));
      found.push((i) => wanted[problem[i]]);
    }
    if (value.search) found.push(search(value.search.toLowerCase()));
    return found;
  }

  const state = () => FILTERS.map(valueOf).join("\n");

  function select() {
    const passes = tests();
    applied = state();
    selected = [];
    for (let i = 0; i < total; i++) if (passes.every((test) => test(i))) selected.push(i);
    const {length} = responses, order = valueOf("sort");
    if (order) selected.sort(order === "longest" ? (a, b) => length[b] - length[a] : (a, b) => length[a] - length[b]);
  }

  // ---- numbers ----

  const spaced = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u00a0");

  function median(rows) {
    const lengths = Float64Array.from(rows, (i) => responses.length[i]).sort();
    const middle = lengths.length >> 1;
    return lengths.length % 2 ? lengths[middle] : (lengths[middle - 1] + lengths[middle]) / 2;
  }

  function right(rows) {
    const count = rows.reduce((sum, i) => sum + (responses.verdict[i] === "correct"), 0);
    const percent = Math.round((100 * count) / rows.length);
    if (percent === 100 && count < rows.length) return "> 99\u00a0%";
    return percent === 0 && count > 0 ? "< 1\u00a0%" : `${percent}\u00a0%`;
  }

  // ---- text ----

  function make(tag, options = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(options)) {
      if (key === "click") element.addEventListener("click", value);
      else if (key === "verdict") element.dataset.verdict = value;
      else if (key === "class") element.className = value;
      else element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  function symbol(character) {
    const code = character.codePointAt(0);
    return `‹${NAMES[code] ?? "U+" + code.toString(16).toUpperCase().padStart(4, "0")}›`;
  }

  // "‹U+200B›", or "‹U+200B› × 5000": a flood of one character takes a line, not a screen.
  function symbols(run) {
    const parts = [], characters = [...run];
    for (let i = 0, j = 0; i < characters.length; i = j) {
      while (characters[j] === characters[i]) j++;
      const shown = symbol(characters[i]);
      parts.push(j - i > 8 ? `${shown} × ${j - i} ` : shown.repeat(j - i));
    }
    return parts.join("");
  }

  function pieces(text, pattern, plain, special) {
    const found = [];
    let from = 0;
    for (const match of text.matchAll(pattern)) {
      if (match.index > from) found.push(...plain(text.slice(from, match.index)));
      found.push(special(match[0]));
      from = match.index + match[0].length;
    }
    if (from < text.length) found.push(...plain(text.slice(from)));
    return found;
  }

  const seen = (text) => pieces(text, UNSEEN, (part) => [part], (run) => make("span", {class: "control"}, symbols(run)));

  function searched() {
    const words = valueOf("search");
    return words ? new RegExp(words.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"), "giu") : null;
  }

  const marked = (text, pattern) =>
    pattern ? pieces(text, pattern, seen, (part) => make("mark", {}, ...seen(part))) : seen(text);

  // Where a long text is cut: it begins shortly before what was searched for.
  function clip(text, pattern) {
    const hit = pattern ? text.search(pattern) : -1;
    let from = hit > CLIP - 200 ? hit - 200 : 0;
    let to = Math.min(text.length, from + CLIP);
    for (let lines = 0, at = from; at < to; at++) if (text[at] === "\n" && at >= hit && ++lines === CLIP_LINES) to = at;
    const low = (at) => at > 0 && at < text.length && /[\uDC00-\uDFFF]/.test(text[at]); // not between the halves of a character
    if (low(from)) from--;
    if (low(to)) to--;
    return [from, to];
  }

  function shown(text, style, pattern = null) {
    if (text === "") return make("span", {class: "none"}, "(empty)");
    const [from, to] = clip(text, pattern);
    const block = make("div", {class: `text ${style}`});
    if (from === 0 && to === text.length) {
      block.append(...marked(text, pattern));
      return block;
    }
    const more = make("button", {type: "button", class: "link more", "aria-expanded": "false"});
    const show = (all) => {
      const part = all ? text : text.slice(from, to);
      const cut = (where) => (all || !where ? [] : [make("span", {class: "none"}, " […] ")]);
      block.replaceChildren(...cut(from > 0), ...marked(part, pattern), ...cut(to < text.length));
      more.textContent = all ? `show less of the ${style}` : `show all ${spaced(text.length)} characters of the ${style}`;
      more.setAttribute("aria-expanded", String(all));
    };
    more.addEventListener("click", () => show(more.getAttribute("aria-expanded") === "false"));
    show(false);
    const whole = document.createDocumentFragment();
    whole.append(block, more);
    return whole;
  }

  // ---- the page ----

  const spelled = (verdict) => `${Object.hasOwn(MARKS, verdict) ? MARKS[verdict] : "·"} ${verdict.replaceAll("_", " ")}`;
  const badge = (verdict) => make("span", {class: "verdict", verdict}, ...seen(spelled(verdict)));

  function card(i, pattern) {
    const evaluation = evaluations[responses.evaluation[i]], problem = problems[responses.problem[i]];
    const lenient = responses.verdict_lenient[i], sample = responses.sample[i], tokens = responses.length[i];
    const rows = [];
    const row = (name, ...content) => rows.push(make("dt", {}, name), make("dd", {}, ...content));
    row("prompt", shown(problem.prompt, "prompt", pattern));
    row("response", shown(responses.text[i], "response", pattern));
    if (problem.gold !== null) row("gold", shown(problem.gold, "gold"));
    if (responses.answer[i] !== null) row("answer read", shown(responses.answer[i], "answer"));
    else if (evaluation.answer) row("answer read", make("span", {class: "none"}, "none"));
    const differs = lenient === responses.verdict[i] ? "" : make("span", {class: "none"}, " differs from the verdict");
    if (lenient !== null) row("leniently", badge(lenient), differs);
    const everywhere = {type: "button", class: "link problem", title: "this problem in all evaluations"};
    const header = make("header", {}, badge(responses.verdict[i]), make("span", {}, ...seen(responses.kind[i])),
      make("span", {}, `${spaced(tokens)} token${tokens === 1 ? "" : "s"}`), make("span", {}, evaluation.label),
      evaluation.samples && sample !== null ? make("span", {}, `sample ${sample}`) : null,
      make("button", {...everywhere, click: () => showProblem(problem.id)}, ...seen(problem.id)));
    return make("article", {"data-row": i, "aria-label": `${responses.verdict[i]}, ${evaluation.label}`}, header, make("dl", {}, ...rows));
  }

  function drawCount() {
    const words = [`${spaced(selected.length)} of ${spaced(total)} responses`];
    if (selected.length) words.push(`${right(selected)} right`, `median length ${spaced(median(selected))}`);
    document.getElementById("count").textContent = words.join("; ");
  }

  function drawPager(nav) {
    const last = Math.max(0, Math.ceil(selected.length / PAGE) - 1);
    const button = (name, to, enabled) => {
      const element = make("button", {type: "button", click: () => turn(to)}, name);
      element.disabled = !enabled;
      return element;
    };
    nav.replaceChildren(
      button("First", 0, page > 0), button("Previous", page - 1, page > 0),
      make("span", {}, `page ${spaced(page + 1)} of ${spaced(last + 1)}`),
      button("Next", page + 1, page < last), button("Last", last, page < last));
  }

  function drawTable() {
    if (!document.getElementById("table").open) return;
    const rows = evaluations.map(() => []);
    for (const i of selected) rows[responses.evaluation[i]].push(i);
    const cell = (text) => make("td", {class: "number"}, text);
    document.getElementById("by-evaluation").replaceChildren(...evaluations.map((evaluation, at) => {
      const mine = rows[at], only = () => { setValue("evaluation", evaluation.label); apply({push: true}); };
      return make("tr", {},
        make("td", {}, make("button", {type: "button", class: "link", click: only}, evaluation.label)), make("td", {}, evaluation.how),
        cell(`${spaced(evaluation.shown)} of ${spaced(evaluation.total)}`), cell(spaced(mine.length)),
        cell(mine.length ? right(mine) : "–"), cell(mine.length ? spaced(median(mine)) : "–"));
    }));
  }

  function draw() {
    drawCount();
    document.querySelectorAll(".pager").forEach(drawPager);
    drawTable();
    const rows = selected.slice(page * PAGE, (page + 1) * PAGE), pattern = searched();
    const nothing = make("p", {class: "none"}, "No response passes these filters.");
    document.getElementById("responses").replaceChildren(...(rows.length ? rows.map((i) => card(i, pattern)) : [nothing]));
  }

  // ---- state: in the address, so that a view can be linked ----

  function writeAddress(push) {
    const words = new URLSearchParams();
    for (const name of FILTERS) if (valueOf(name)) words.set(name, valueOf(name));
    if (page) words.set("page", page + 1);
    const hash = `#${words}`;
    if (hash === (location.hash || "#")) return;
    history[push ? "pushState" : "replaceState"](null, "", hash);
  }

  function readAddress() {
    const words = new URLSearchParams(location.hash.slice(1));
    for (const name of FILTERS) setValue(name, words.get(name) ?? "");
    select();
    goTo(Number.parseInt(words.get("page") ?? "1", 10) - 1);
    draw();
  }

  function goTo(wanted) {
    const last = Math.max(0, Math.ceil(selected.length / PAGE) - 1);
    page = Math.min(Math.max(wanted || 0, 0), last);
  }

  function apply({push = false} = {}) {
    clearTimeout(timer);
    select();
    page = 0;
    writeAddress(push);
    draw();
  }

  function turn(to) {
    goTo(to);
    writeAddress(true);
    draw();
    const count = document.getElementById("count");
    count.focus({preventScroll: true}); // the button that was pressed is gone
    document.getElementById("responses").scrollIntoView();
  }

  function showProblem(id) {
    for (const name of FILTERS) setValue(name, name === "problem" ? id : "");
    apply({push: true});
    document.getElementById("count").focus();
    window.scrollTo(0, 0);
  }

  for (const name of FILTERS) {
    control[name].addEventListener("change", () => {
      // Leaving a field is a change too: what is shown already must not be drawn again under the pointer of who left it.
      if (state() !== applied) apply({push: !TYPED.includes(name)});
    });
    if (TYPED.includes(name)) {
      control[name].addEventListener("input", () => {
        clearTimeout(timer);
        timer = setTimeout(apply, TYPING);
      });
    }
  }
  document.getElementById("reset").addEventListener("click", () => {
    for (const name of FILTERS) setValue(name, "");
    apply({push: true});
  });
  document.getElementById("table").addEventListener("toggle", drawTable);
  window.addEventListener("hashchange", readAddress);
  readAddress();
})();
