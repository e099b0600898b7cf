// Progress bar and drag and drop around a plain form: <form data-upload> with a drop_zone inside.
// data-upload="drop" sends as soon as a file is chosen or dropped.
const megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);

function rest(seconds) {
  if (!Number.isFinite(seconds)) return "";
  return seconds < 90 ? `, ${Math.max(1, Math.round(seconds))} s left` : `, ${Math.round(seconds / 60)} min left`;
}

// A refused upload answers 422 with the same page and its messages: show that page's content in place.
function showPage(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const main = page.querySelector("main");
  if (!main) return false;
  const here = document.getElementById("main");
  here.replaceChildren(...main.childNodes);
  document.title = page.title || document.title;
  window.htmx?.process(here);
  here.focus();
  window.scrollTo(0, 0);
  return true;
}

function send(form) {
  const zone = form.querySelector("[data-drop]");
  const sending = form.querySelector("[data-sending]");
  const bar = sending.querySelector("progress");
  const words = sending.querySelector("[data-sent]");
  const buttons = form.querySelectorAll("button[type=submit], input[type=file]");
  const request = new XMLHttpRequest();
  const began = performance.now();
  const body = new FormData(form);
  const stop = (message) => {
    words.textContent = message;
    bar.hidden = true;
    buttons.forEach((button) => { button.disabled = false; });
    zone.removeAttribute("aria-busy");
    sending.querySelector("[data-abort]").hidden = true;
  };
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    const speed = loaded / ((performance.now() - began) / 1000);
    bar.value = loaded / total;
    words.textContent = loaded < total
      ? `${megabytes(loaded)} of ${megabytes(total)} MB${rest((total - loaded) / speed)}`
      : "Sent. Reading the file.";
  });
  request.addEventListener("load", () => {
    if (request.status < 300) return window.location.assign(request.responseURL || window.location.href);
    if (!showPage(request.responseText)) stop(`The server refused the file (${request.status}). Try again.`);
  });
  request.addEventListener("error", () => stop("The connection broke before the file was sent. Try again."));
  request.addEventListener("abort", () => stop("Stopped. Nothing was kept."));
  sending.querySelector("[data-abort]").onclick = () => request.abort();
  request.open(form.method, form.action);
  request.setRequestHeader("Accept", "text/html");
  sending.hidden = false;
  bar.hidden = false;
  sending.querySelector("[data-abort]").hidden = false;
  bar.removeAttribute("value");
  words.textContent = "Sending";
  zone.setAttribute("aria-busy", "true");
  buttons.forEach((button) => { button.disabled = true; });
  request.send(body);
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-upload]");
  if (!form || !form.querySelector("input[type=file]").files.length) return;
  event.preventDefault();
  send(form);
});

document.addEventListener("change", ({ target }) => {
  const zone = target.closest?.("[data-drop]");
  if (!zone || target.type !== "file" || !target.files.length) return;
  const [file] = target.files;
  const chosen = zone.querySelector("[data-chosen]");
  chosen.textContent = `${file.name}, ${megabytes(file.size)} MB`;
  chosen.hidden = false;
  const form = zone.closest("form[data-upload]");
  if (form?.dataset.upload === "drop") form.requestSubmit();
});

// A file dropped beside a zone must not make the browser leave the page.
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    const zone = event.target.closest?.("[data-drop]");
    document.querySelectorAll(".drop.over").forEach((other) => other.classList.remove("over"));
    if (kind !== "dragleave") event.preventDefault();
    if (!zone || kind === "dragleave") return;
    if (kind === "dragover") return zone.classList.add("over");
    const input = zone.querySelector("input[type=file]");
    if (!event.dataTransfer.files.length || input.disabled) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
}
