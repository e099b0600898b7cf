// The answers of a question: each open card asks its model, shows the text as it comes, and is then read anew.
async function ask(card) {
  const text = card.querySelector("[data-ask-text]");
  const note = card.querySelector("[data-ask-note]");
  const reply = await fetch(card.dataset.ask, { method: "POST", headers: { Accept: "application/x-ndjson" } });
  if (reply.status === 409) return setTimeout(() => renew(card), 1500);
  if (!reply.ok) {
    note.textContent = `The answer cannot be asked for (${reply.status}). Load the page again.`;
    return;
  }
  note.textContent = "Answers …";
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const lines = (rest + part.value).split("\n");
    rest = lines.pop();
    text.append(lines.map((line) => JSON.parse(line).text).join(""));
  }
  renew(card);
}

// Another window may be asking: the card comes as it is then, and asks if it is still open.
async function renew(card) {
  const reply = await fetch(card.dataset.ask);
  if (!reply.ok) return;
  const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").querySelector(".ask-card");
  card.replaceWith(fresh);
  if (fresh.dataset.ask) ask(fresh);
}

document.querySelectorAll("[data-ask]").forEach((card) => ask(card).catch(() => {
  card.querySelector("[data-ask-note]").textContent = "The connection was lost. Load the page again.";
}));
