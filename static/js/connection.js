// Says so when the server does not answer a request of htmx, and takes it back when it does.
// A whole error page that answers a request for a region takes the place of the page's content.
const line = document.getElementById("offline");
const show = (failed) => { line.hidden = !failed; };

document.addEventListener("htmx:error", (event) => {
  const reply = event.detail.ctx?.response;
  if (!reply && event.detail.error?.name !== "AbortError") show(true);
});

document.addEventListener("htmx:after:request", (event) => {
  const { response, text } = event.detail.ctx ?? {};
  if (!response) return;
  show(response.status >= 502 && response.status <= 504);
  if (response.status < 400 || !/^\s*<!doctype/i.test(text ?? "")) return;
  const main = new DOMParser().parseFromString(text, "text/html").querySelector("main");
  if (!main) return;
  event.detail.ctx.text = "";
  document.getElementById("main").replaceChildren(...main.childNodes);
  document.getElementById("main").focus();
});

// A tab that nobody looks at does not ask again: hx-trigger="every …" fires this event, which never bubbles.
document.addEventListener("every", (event) => { if (document.hidden) event.stopImmediatePropagation(); }, true);
