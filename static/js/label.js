// Labelling by hand: the keys 1, 2 and 0 press the button of that value.
const form = document.querySelector("[data-label-keys]");

document.addEventListener("keydown", (event) => {
  if (!form || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const button = form.querySelector(`button[value="${CSS.escape(event.key)}"]`);
  if (!button || form.dataset.sent) return;
  event.preventDefault();
  form.dataset.sent = "true";
  button.click();
});
