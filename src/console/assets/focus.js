// The summary of errors takes the focus; passwords can be shown.
{
  addEventListener("DOMContentLoaded", () => {
    for (const input of document.querySelectorAll("input[type=password]")) {
      const button = document.createElement("button");
      const label = document.querySelector(`label[for="${input.id}"]`)?.textContent.toLowerCase() ?? "";
      const show = (isShown) => {
        input.type = isShown ? "text" : "password";
        button.textContent = isShown ? "Hide" : "Show";
        button.setAttribute("aria-label", `${button.textContent} ${label}`.trim());
      };
      button.type = "button";
      button.setAttribute("aria-controls", input.id);
      button.addEventListener("click", () => show(input.type === "password"));
      input.form?.addEventListener("submit", () => show(false));
      // What has the focus already keeps it; what takes it later does so by its attribute.
      const hasFocus = document.activeElement === input;
      const pair = Object.assign(document.createElement("div"), { className: "pair" });
      input.replaceWith(pair);
      pair.append(input, button);
      show(false);
      if (hasFocus) input.focus();
    }
    document.querySelector("[data-focus]")?.focus();
  });
}
