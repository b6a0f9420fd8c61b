// The scripts of all pages. Every page is complete without them; each part stands in a block of its own.
// "fresh" is sent on an element whose content is new, at the start on the document.
addEventListener("DOMContentLoaded", () => document.dispatchEvent(new Event("fresh")));
// Browsers keep whole pages for the way back; one that comes from there is asked for again, since whoever it was for
// may have signed out.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
const say = (text) => {
  let line = document.querySelector("#spoken");
  if (!line) {
    line = Object.assign(document.createElement("p"), { id: "spoken", className: "hidden" });
    line.setAttribute("role", "status");
    document.body.append(line);
  }
  line.textContent = text;
};
