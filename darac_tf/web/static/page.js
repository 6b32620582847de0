// The search page. All that comes from files is set as text, never as markup.

const find = (selector, root = document) => root.querySelector(selector);
const make = (id) => find(`#${id}`).content.firstElementChild.cloneNode(true);
const [results, groups, parts] = ["#results", "#groups", "#parts"].map((id) => find(id));
const [folder, threshold, viewer] = ["#folder", "#threshold", "#viewer"].map((id) => find(id));
const POLL_MS = 4000, JOB_POLL_MS = 700, PAGE = 60, MOST = 1000, AHEAD = 1200;

let state = null;          // What the server says of its index.
let query = [];            // Parts: {sign, row | file, part, picture, vector}.
let list = null;           // What is being listed: {controller, next, isBusy, isDone, timer}.
let areDuplicates = false;
let items = [];            // Results, of which those near the window are drawn: {place: element}.
const drawn = new Map();
let viewed = null;         // What the viewer shows: {row | file, paths, picture, part, old: part of the query}.

// Control characters, and what turns the direction of text, as escapes.
const shown = (text) => text.replace(/\p{C}/gu, (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`);
const short = (path) => shown(state.root && path.startsWith(state.root) ? path.slice(state.root.length).replace(/^\/+/, "") : path);
const address = (kind, row) => `${kind}/${state.generation}/${row}`;
const number = (n) => n.toLocaleString("en");

async function ask(path, body, options = {}) {
  const isJson = body !== undefined && !(body instanceof Blob);
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    body: isJson ? JSON.stringify(body) : body,
    headers: isJson ? { "Content-Type": "application/json" } : {},
    ...options,
  });
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({ error: `status ${response.status}` }));
  throw Object.assign(new Error(answer.error), { status: response.status });
}

let alertTimer;
function say(error) {
  if (error.name === "AbortError") return;
  const isOff = error instanceof TypeError;
  find("#alert").textContent = isOff ? "The search page's program no longer answers: start `darac web` again." : shown(error.message);
  find("#alert").hidden = false;
  clearTimeout(alertTimer);
  alertTimer = setTimeout(() => { find("#alert").hidden = true; }, 8000);
}

// --- the index ---

function takeState(answer) {
  const before = state;
  state = answer;
  find("#count").textContent = `${number(state.images)} images`;
  find("#news").hidden = !state.is_changed;
  find("#news span").textContent = state.more
    ? `${number(state.more)} more images are in the index.` : "The index has changed.";
  if (JSON.stringify(before?.folders) !== JSON.stringify(state.folders)) {
    const chosen = folder.value;
    folder.replaceChildren(new Option("all", ""));
    for (const { path, images } of state.folders) {
      folder.add(new Option(`${short(path)} (${number(images)})`, path, false, path === chosen));
    }
  }
  if (before && before.generation !== state.generation) {  // A row is another image now.
    forget((part) => part.row !== undefined);
    viewer.close();
    showResults([]);
    showQuery();
  }
}

async function poll() {
  if (!document.hidden) {
    try { takeState(await (await ask("state")).json()); } catch (error) { say(error); }
  }
  setTimeout(poll, POLL_MS);
}

async function takeIn() {
  try {
    takeState(await (await ask("take_in", {})).json());
    showQuery();
  } catch (error) { say(error); }
}

// --- the query ---

const isPending = (part) => !part.vector && (part.row === undefined || Boolean(part.part));
const asSent = (part) => (part.vector ? { vector: part.vector } : { row: part.row });

function keepInHistory() {
  history.pushState({ place: kept.push({ query: [...query], areDuplicates }) - 1 }, "");
}
const kept = [];
function forget(isGone) {
  for (const past of kept) past.query = past.query.filter((part) => !isGone(part));
  query = query.filter((part) => !isGone(part));
}
addEventListener("popstate", (event) => {
  const past = kept[event.state?.place] ?? { query: [], areDuplicates: false };
  query = [...past.query];
  areDuplicates = past.areDuplicates;
  showQuery();
});

function setQuery(changed) {
  query = changed;
  areDuplicates = false;
  keepInHistory();
  showQuery();
  scrollTo({ top: 0 });
}

function showQuery() {
  parts.replaceChildren(...query.map((part, place) => {
    const element = make("part");
    element.classList.toggle("not", part.sign < 0);
    element.classList.toggle("busy", isPending(part));
    find("img", element).src = part.picture;
    find("img", element).alt = part.name;
    find(".sign", element).textContent = part.sign < 0 ? "−" : "+";
    find(".sign", element).setAttribute("aria-label", part.sign < 0 ? "not like this one" : "like this one");
    find(".look", element).onclick = () => view({ ...part, old: part });
    find(".sign", element).disabled = isPending(part);  // The other sign is another part.
    find(".sign", element).onclick = () => setQuery(query.with(place, { ...part, sign: -part.sign }));
    find(".close", element).onclick = () => setQuery(query.toSpliced(place, 1));
    if (part.part) drawCut(element, part);
    return element;
  }));
  find("#clear").hidden = !query.length;
  find("#duplicates").setAttribute("aria-pressed", areDuplicates);
  find("#query").hidden = areDuplicates;
  find(".folder").hidden = areDuplicates;
  find("#groups-bar").hidden = !areDuplicates;
  begin();
}

// The picture is centred in its square, the part is a share of the picture.
function drawCut(element, { part, size }) {
  const { width, height } = size, most = Math.max(width, height), cut = find(".cut", element);
  const share = (v, side) => `${100 * ((most - side) / 2 + v * side) / most}%`;
  const [left, top, right, bottom] = part;
  cut.style.left = share(left, width);
  cut.style.top = share(top, height);
  cut.style.right = `calc(100% - ${share(right, width)})`;
  cut.style.bottom = `calc(100% - ${share(bottom, height)})`;
  cut.hidden = false;
}

const ofRow = (result, sign, part, size) => ({
  sign, row: result.row, paths: result.paths, name: short(result.paths[0]),
  picture: address("thumbnail", result.row), part, size,
});

async function describe(part) {
  if (!isPending(part)) return;
  const path = part.row === undefined ? "describe" : address("describe", part.row);
  const box = part.part ? `?part=${part.part.join(",")}` : "";
  try {
    const answer = await (await ask(path + box, part.file ?? new Blob())).json();
    part.vector = answer.vector;
  } catch (error) {
    say(error);
    forget((each) => each === part);
  }
  showQuery();
}

function addFiles(files, isAdded) {
  const most = Number(document.body.dataset.uploadMb) * 2 ** 20;
  const good = [...files].filter((file) => file.size <= most);
  if (good.length < files.length) say(new Error(`Pictures of more than ${document.body.dataset.uploadMb} MB are refused.`));
  const added = good.map((file) => ({ sign: 1, file, name: file.name || "a pasted picture", picture: URL.createObjectURL(file) }));
  if (!added.length) return;
  setQuery(isAdded ? [...query, ...added] : added);
  added.forEach(async (part) => {
    part.size = await sizeOf(part);
    describe(part);
  });
}

// What the browser can't show, the server turns into a JPEG.
async function sizeOf(part) {
  const image = new Image();
  image.src = part.picture;
  try { await image.decode(); } catch {
    try {
      part.picture = URL.createObjectURL(await (await ask("picture", part.file)).blob());
      image.src = part.picture;
      await image.decode();
    } catch { return { width: 1, height: 1 }; }  // `describe` says what is wrong with it.
  }
  return { width: image.naturalWidth, height: image.naturalHeight };
}

// --- lists ---

function begin() {
  list?.controller.abort();
  clearTimeout(list?.timer);
  list = { controller: new AbortController(), next: 0, isBusy: false, isDone: false };
  groups.replaceChildren();
  if (areDuplicates) showResults([]);
  find("#line").textContent = "";
  if (query.some(isPending) && !areDuplicates) {
    find("#line").textContent = "Looking at the picture …";
    return;
  }
  more();
}

async function more() {
  const own = list;
  if (!own || own.isBusy || own.isDone || !state) return;
  own.isBusy = true;
  try {
    await (areDuplicates ? moreGroups(own) : moreResults(own));
  } catch (error) {
    own.isDone = true;
    if (error.status === 410) await restart(error);
    else say(error);
  }
  own.isBusy = false;
  if (own === list && !own.isDone && isNearEnd()) more();
}

async function restart(error) {
  const generation = state.generation;
  takeState(await (await ask("state")).json());
  if (state.generation === generation) say(error);
}

async function moreResults(own) {
  // Each page is searched for anew, so that pages grow.
  const count = Math.min(MOST, Math.max(PAGE, own.next));
  const body = {
    generation: state.generation, offset: own.next, count,
    folder: folder.value || null,
    plus: query.filter((part) => part.sign > 0).map(asSent),
    minus: query.filter((part) => part.sign < 0).map(asSent),
  };
  const begun = performance.now();
  const answer = await (await ask("search", body, { signal: own.controller.signal })).json();
  if (own !== list) return;
  if (!own.next) {
    showResults([]);
    const seconds = ((performance.now() - begun) / 1000).toFixed(2);
    find("#line").textContent = query.length
      ? `Most alike first, of ${number(answer.total)} images, ${seconds} s`
      : `All ${number(answer.total)} images; choose one, or bring your own`;
  }
  showResults([...items, ...answer.results]);
  own.next = answer.next;
  own.isDone = own.next >= answer.total;
}

// Tens of thousands of elements would make each frame slow: rows beyond the window are padding.
const ROWS_BEYOND = 4;

function showResults(all) {
  if (!all.length) clearDrawn();
  items = all;
  results.dataset.count = items.length;
  draw();
}

function clearDrawn() {
  drawn.clear();
  results.replaceChildren();
}

function draw() {
  if (!items.length) {
    results.style.padding = "0";
    return;
  }
  if (!drawn.size) drawSpan(0, 1);  // To be measured.
  const style = getComputedStyle(results), columns = style.gridTemplateColumns.split(" ").length;
  const height = results.firstElementChild.offsetHeight + parseFloat(style.rowGap);
  const { top } = results.getBoundingClientRect(), rows = Math.ceil(items.length / columns);
  const last = Math.min(rows, Math.max(1, Math.ceil((innerHeight - top) / height) + ROWS_BEYOND));
  const first = Math.max(0, Math.min(last - 1, Math.floor(-top / height) - ROWS_BEYOND));
  drawSpan(first * columns, Math.min(last * columns, items.length));
  results.style.padding = `${first * height}px 0 ${(rows - last) * height}px`;
  if (find("[tabindex='0']", results) === null) rove(find(".look", results));
}

function drawSpan(begin, end) {
  for (const [place, element] of drawn) {
    if (place >= begin && place < end) continue;
    find("img", element).removeAttribute("src");  // What is scrolled past need not come any more.
    element.remove();
    drawn.delete(place);
  }
  const rows = new Set(query.map((part) => part.row));
  let next = null;
  for (let place = end - 1; place >= begin; place -= 1) {
    if (!drawn.has(place)) {
      drawn.set(place, tile(items[place], rows.has(items[place].row)));
      results.insertBefore(drawn.get(place), next);
    }
    next = drawn.get(place);
  }
}

async function moreGroups(own) {
  const body = { generation: state.generation, threshold: Number(threshold.value), offset: own.next };
  const answer = await (await ask("duplicates", body, { signal: own.controller.signal })).json();
  if (own !== list) return;
  if (answer.fault) throw new Error(answer.fault);
  threshold.min = Math.ceil(answer.floor * 200) / 200;
  find("#threshold-value").value = Number(threshold.value).toFixed(3);
  find("#share").hidden = answer.share >= 1;
  find("#share").value = answer.share;
  find("#groups-count").textContent = `${number(answer.total)} groups`;
  groups.append(...answer.groups.map(group));
  own.next += answer.groups.length;
  own.isDone = own.next >= answer.total;
  if (answer.share < 1) own.timer ??= setTimeout(() => watch(own), JOB_POLL_MS);
  if (own.isDone && !own.next && answer.share >= 1) find("#line").textContent = "No two images are so alike.";
}

// While pairs are still being found: the number, and the list anew when all are there or none is shown.
async function watch(own) {
  try {
    const body = { generation: state.generation, threshold: Number(threshold.value), count: 1 };
    const answer = await (await ask("duplicates", body, { signal: own.controller.signal })).json();
    if (own !== list) return;
    find("#share").value = answer.share;
    find("#groups-count").textContent = `${number(answer.total)} groups`;
    if (answer.share >= 1 || (!own.next && answer.total) || answer.fault) begin();
    else own.timer = setTimeout(() => watch(own), JOB_POLL_MS);
  } catch (error) { say(error); }
}

function group({ similarity, images, results: members }) {
  const element = make("group"), rest = images - members.length;
  const files = members.reduce((sum, { paths }) => sum + paths.length, 0) + rest;
  find("h2", element).textContent =
    `${number(files)} files, up to ${similarity.toFixed(4)}${rest ? `; ${number(rest)} more are not shown` : ""}`;
  find("ol", element).append(...members.map((result) => tile(result)));
  return element;
}

function tile(result, isQuery = false) {
  const element = make("tile"), image = find("img", element), name = short(result.paths[0]);
  image.onerror = () => element.classList.add("absent");
  image.src = address("thumbnail", result.row);
  image.alt = name;
  element.title = name;
  element.result = result;
  element.classList.toggle("is-query", isQuery);
  find(".name", element).textContent = name;
  if (result.similarity !== null) find(".score", element).textContent = result.similarity.toFixed(3);
  if (result.paths.length > 1) find(".copies", element).textContent = `${result.paths.length} files`;
  find(".look", element).tabIndex = -1;
  return element;
}

// --- the viewer, and the box that is drawn in it ---

async function view(item) {
  viewed = item;
  const image = find("img", viewer);
  image.src = item.row === undefined ? item.picture : address("picture", item.row);
  image.alt = item.name ?? short(item.paths[0]);
  find("h2 bdi", viewer).textContent = item.name ?? short(item.paths[0]);
  find(".paths", viewer).replaceChildren(...(item.paths ?? []).map((path) => {
    const line = document.createElement("li");
    line.textContent = shown(path);
    return line;
  }));
  find(".open", viewer).hidden = item.row === undefined;
  if (item.row !== undefined) find(".open", viewer).href = address("file", item.row);
  find(".hint", viewer).textContent = "Draw on the picture to search with a part of it.";
  showBox();
  if (!viewer.open) viewer.showModal();
  try { await image.decode(); } catch {
    if (viewed === item) find(".hint", viewer).textContent = "The picture can't be shown.";
  }
}

function showBox() {
  const box = find(".box", viewer), part = viewed?.part;
  box.hidden = !part;
  find(".whole", viewer).hidden = !part;
  find(".search", viewer).textContent = part ? "Search with this part" : "Search with this one";
  if (!part) return;
  const [left, top, right, bottom] = part.map((v) => 100 * v);
  Object.assign(box.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
}

let corner = null;
const stage = find(".stage", viewer);
const place = ({ clientX, clientY }) => {
  const { left, top, width, height } = find("img", stage).getBoundingClientRect();
  return [(clientX - left) / width, (clientY - top) / height].map((v) => Math.min(1, Math.max(0, v)));
};
stage.onpointerdown = (event) => {
  if (event.button) return;
  event.preventDefault();
  stage.setPointerCapture(event.pointerId);
  corner = place(event);
};
stage.onpointermove = (event) => {
  if (!corner) return;
  const [x, y] = place(event), [x0, y0] = corner;
  viewed.part = [Math.min(x, x0), Math.min(y, y0), Math.max(x, x0), Math.max(y, y0)];
  showBox();
};
stage.onpointerup = stage.onpointercancel = () => {
  corner = null;
  // A click is no box.
  const [left, top, right, bottom] = viewed.part ?? [0, 0, 1, 1];
  if (right - left < 0.02 || bottom - top < 0.02) viewed.part = undefined;
  showBox();
};

function fromViewer(sign, isAdded) {
  const { naturalWidth: width, naturalHeight: height } = find("img", viewer);
  const { file, row, name, paths, picture, part, old } = viewed;
  const taken = row === undefined
    ? { sign, file, name, picture, part, size: { width, height } }
    : ofRow({ row, paths }, sign, part, { width, height });
  viewer.close();
  const others = query.filter((each) => each !== old);
  setQuery(isAdded ? [...others, taken] : [taken]);
  describe(taken);
}
find(".search", viewer).onclick = () => fromViewer(1, false);
find(".more", viewer).onclick = () => fromViewer(1, true);
find(".less", viewer).onclick = () => fromViewer(-1, true);
find(".whole", viewer).onclick = () => { viewed.part = undefined; showBox(); };

// --- mouse, keyboard, drop, paste ---

function act(action, result) {
  if (action === "look") view({ ...result, name: short(result.paths[0]) });
  if (action === "search") setQuery([ofRow(result, 1)]);
  if (action === "more") setQuery([...query, ofRow(result, 1)]);
  if (action === "less") setQuery([...query, ofRow(result, -1)]);
}

find("main").onclick = (event) => {
  const button = event.target.closest("button"), element = event.target.closest(".tile");
  if (button && element) act(button.className, element.result);
};

function rove(look) {
  if (!look) return;
  for (const each of document.querySelectorAll("main .look[tabindex='0']")) each.tabIndex = -1;
  look.tabIndex = 0;
}
find("main").addEventListener("focusin", (event) => { if (event.target.matches(".look")) rove(event.target); });

function step(key) {
  const looks = [...document.querySelectorAll("main .look")];
  const now = looks.indexOf(document.activeElement);
  let next = now < 0 ? 0 : now + { ArrowLeft: -1, ArrowRight: 1 }[key];
  if (now >= 0 && (key === "ArrowUp" || key === "ArrowDown")) {
    const { left, top } = looks[now].getBoundingClientRect(), sign = key === "ArrowUp" ? -1 : 1;
    next = now + sign;
    while (looks[next]) {
      const rect = looks[next].getBoundingClientRect();
      if (Math.abs(rect.left - left) < 4 && rect.top !== top) break;
      next += sign;
    }
  }
  looks[next]?.focus();
  looks[next]?.scrollIntoView({ block: "nearest" });
}

function toggleDuplicates() {
  areDuplicates = !areDuplicates;
  keepInHistory();
  showQuery();
  scrollTo({ top: 0 });
}

const KEYS = { s: "search", "+": "more", "-": "less" };
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("select, input[type=range]")) return;
  const result = document.activeElement.closest?.(".tile")?.result;
  if (event.key.startsWith("Arrow")) step(event.key);
  else if (KEYS[event.key] && result) act(KEYS[event.key], result);
  else if (event.key === "o") find("#files").click();
  else if (event.key === "d") toggleDuplicates();
  else if (event.key === "f") folder.focus();
  else if (event.key === "?") find("#keys").showModal();
  else if (event.key === "Escape" && query.length) setQuery([]);
  else if ((event.key === "Enter" || event.key === " ") && event.target.id === "choose") find("#files").click();
  else return;
  event.preventDefault();
});

find("#files").onchange = (event) => { addFiles(event.target.files, query.length > 0); event.target.value = ""; };
find("#clear").onclick = () => setQuery([]);
find("#duplicates").onclick = toggleDuplicates;
find("#help").onclick = () => find("#keys").showModal();
find("#news button").onclick = takeIn;
folder.onchange = begin;
let sliding;
threshold.oninput = () => {
  find("#threshold-value").value = Number(threshold.value).toFixed(3);
  clearTimeout(sliding);
  sliding = setTimeout(begin, 120);
};

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  find("#drop").hidden = false;
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) find("#drop").hidden = true; });
addEventListener("drop", (event) => {
  find("#drop").hidden = true;
  if (!hasFiles(event)) return;
  event.preventDefault();
  addFiles(event.dataTransfer.files, event.shiftKey);
});
addEventListener("paste", (event) => {
  const files = event.clipboardData?.files;
  if (files?.length) addFiles(files, false);
});

const isNearEnd = () => find("#end").getBoundingClientRect().top < innerHeight + AHEAD;
addEventListener("resize", () => { clearDrawn(); draw(); if (isNearEnd()) more(); });
addEventListener("scroll", () => { draw(); if (isNearEnd()) more(); }, { passive: true });

history.replaceState({ place: kept.push({ query: [], areDuplicates: false }) - 1 }, "");
ask("state").then(async (response) => {
  takeState(await response.json());
  showQuery();
  setTimeout(poll, POLL_MS);
}, say);
