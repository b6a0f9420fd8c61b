// Buttons that copy the text of another element: <button data-copy="its id" hidden>.
{
  const copy = async (source) => {
    const text = source.value ?? source.textContent;
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Without TLS there is no clipboard: the old way, with what is selected.
      if (source.select) source.select();
      else getSelection().selectAllChildren(source);
      return document.execCommand("copy");
    }
  };
  document.addEventListener("fresh", ({ target }) => {
    for (const button of target.querySelectorAll("button[data-copy]")) button.hidden = false;
  });
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest("button[data-copy]");
    const source = button && document.getElementById(button.dataset.copy);
    if (!source) return;
    const text = (await copy(source)) ? "Copied" : "Press Ctrl+C";
    button.dataset.label ??= button.textContent;
    button.textContent = text;
    say(text);
    setTimeout(() => (button.textContent = button.dataset.label), 3000);
  });
}
