// Keys: j and k walk the rows of the first table marked data-rows, Enter opens, x ticks, / searches, ? helps.
const typing = (element) => element.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");

function rows() {
  return [...document.querySelectorAll("[data-rows] > tr:not(.opened), [data-rows] > li")].filter((row) => row.offsetParent);
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const now = all.findIndex((row) => row.classList.contains("here"));
  const next = all[Math.min(Math.max(now + step, 0), all.length - 1)];
  all[now]?.classList.remove("here");
  next.classList.add("here");
  next.scrollIntoView({ block: "nearest" });
  next.querySelector("a[href], input[type=checkbox]")?.focus({ preventScroll: true });
}

const actions = {
  j: () => move(1),
  k: () => move(-1),
  x: () => document.querySelector(".here input[type=checkbox]")?.click(),
  "/": () => document.querySelector("input[type=search]")?.focus(),
  "?": () => document.getElementById("keys")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]") || !Object.hasOwn(actions, event.key)) return;
  event.preventDefault();
  actions[event.key]();
});
