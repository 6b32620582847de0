"""The style sheet and the script of the page of rankings; both work without a network."""

STYLE = """
:root { --page: #fafafa; --card: #fff; --text: #1c1c1e; --soft: #5c5c66; --line: #d9d9de;
  --right: #12803a; --wrong: #c4141c; --junk: #76767e; }
@media (prefers-color-scheme: dark) {
  :root { --page: #161618; --card: #202024; --text: #ececf0; --soft: #a6a6b0; --line: #3a3a42;
    --right: #3cc46c; --wrong: #ff6b6b; --junk: #9a9aa4; }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0 auto; max-width: 110rem; padding: 1rem; background: var(--page);
  color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
h1 { margin: 0 0 .5rem; font-size: 1.35rem; overflow-wrap: anywhere; }
h2 { margin: 0; font-size: .9rem; overflow-wrap: anywhere; }
ul.summary { margin: 0 0 .75rem; padding-left: 1.2rem; color: var(--soft);
  overflow-wrap: anywhere; }
.controls { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .5rem 1rem;
  align-items: center; margin-bottom: .75rem; padding: .6rem 0; background: var(--page);
  border-bottom: 1px solid var(--line); }
.controls input, .controls select { font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: 4px; padding: .2rem .4rem; max-width: 100%; }
.controls output { color: var(--soft); }
article { display: grid; grid-template-columns: 12rem minmax(0, 1fr); gap: 1rem; padding: .9rem;
  margin-bottom: .75rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; }
.ap { margin: .15rem 0 .4rem; font-variant-numeric: tabular-nums; }
img, .absent { display: block; width: 100%; height: 8.5rem; object-fit: contain;
  background: var(--page); }
.asked img { height: auto; max-height: 14rem; object-position: left; background: none; }
.absent { display: grid; place-content: center; text-align: center; font-size: .75rem;
  color: var(--soft); }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .6rem;
  margin: 0; padding: 0; list-style: none; }
figure { margin: 0; border: 4px solid var(--mark); border-radius: 4px; overflow: hidden; }
figcaption { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 .4rem;
  padding: .1rem .35rem .2rem; font-size: .75rem; font-variant-numeric: tabular-nums; }
figcaption .score { margin-left: auto; }
figcaption .name { flex-basis: 100%; overflow: hidden; white-space: nowrap;
  text-overflow: ellipsis; color: var(--soft); }
.sign { font-size: 1rem; font-weight: 700; line-height: 1.2; color: var(--mark); }
.right { --mark: var(--right); } .wrong { --mark: var(--wrong); } .junk { --mark: var(--junk); }
.junk img { opacity: .55; }
@media (max-width: 42rem) {
  article { grid-template-columns: minmax(0, 1fr); }
  ol { grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); }
  img, .absent { height: 6.5rem; }
}
@media print { .controls { display: none; } article { break-inside: avoid; } }
"""

# The state is in the address after "#", so that a view can be kept as a bookmark.
SCRIPT = """
"use strict";
const list = document.getElementById("queries");
const queries = Array.from(list.children);
const sort = document.getElementById("sort");
const filter = document.getElementById("filter");
const shown = document.getElementById("shown");
const nameOf = (query) => query.querySelector("h2").textContent;

function byAp(sign) {
  return (a, b) => {
    const [x, y] = [a.dataset.ap, b.dataset.ap];
    if (x === "" || y === "") return (x === "") - (y === "");  // without AP: always last
    return sign * (Number(x) - Number(y));
  };
}

const orders = {
  given: () => 0,
  ap: byAp(1),
  "-ap": byAp(-1),
  name: (a, b) => nameOf(a).localeCompare(nameOf(b)),
};

function arrange() {
  const wanted = filter.value.trim().toLowerCase();
  let count = 0;
  for (const query of queries) {
    query.hidden = !nameOf(query).toLowerCase().includes(wanted);
    count += !query.hidden;
  }
  list.append(...queries.slice().sort(orders[sort.value]));
  shown.textContent = `${count} of ${queries.length} queries`;
}

function readAddress() {
  const state = new URLSearchParams(location.hash.slice(1));
  const order = state.get("sort");
  sort.value = Object.hasOwn(orders, order) ? order : "given";
  const text = state.get("filter") || "";
  if (filter.value.trim() !== text) filter.value = text;
  arrange();
}

function writeAddress() {
  arrange();
  const state = new URLSearchParams({ sort: sort.value, filter: filter.value.trim() });
  location.replace(`#${state}`);
}

sort.addEventListener("change", writeAddress);
filter.addEventListener("input", writeAddress);
addEventListener("hashchange", readAddress);
document.getElementById("controls").hidden = false;
readAddress();

// Says on <html> how many thumbnails the browser could decode.
addEventListener("load", () => {
  const images = Array.from(document.images);
  const good = images.filter((image) => image.naturalWidth > 0).length;
  document.documentElement.dataset.thumbnails = `${good} of ${images.length}`;
});
"""
