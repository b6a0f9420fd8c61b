// Regions that follow the server: <div data-live="seconds" id="…">. They are asked for again with the page's own
// address while somebody looks, and replaced when their answer is a new one.
{
  const follow = (region) => {
    const pause = document.querySelector(`button[data-pause="${region.id}"]`);
    const wait = Number(region.dataset.live) * 1000;
    let tag = null;
    let paused = false;
    let failures = 0;
    const ask = async () => {
      const headers = tag ? { "If-None-Match": tag } : {};
      const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "error" });
      failures = 0;
      if (answer.status === 304) return;
      if (!answer.ok) throw new Error(answer.status);
      tag = answer.headers.get("ETag");
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.getElementById(region.id);
      // Whoever is busy in the region keeps it as it is.
      if (!next || paused || region.contains(document.activeElement) || region.querySelector("[open]")) {
        tag = null;
        return;
      }
      region.replaceChildren(...next.childNodes);
      region.dispatchEvent(new Event("fresh", { bubbles: true }));
    };
    const turn = async () => {
      if (!paused && !document.hidden) await ask().catch(() => failures++);
      if (failures < 5) setTimeout(turn, wait * (failures + 1));
      else if (pause) pause.textContent = "Not connected: load the page again";
    };
    if (pause) {
      pause.hidden = false;
      pause.addEventListener("click", () => {
        paused = !paused;
        pause.textContent = paused ? "Go on" : "Pause updates";
      });
    }
    setTimeout(turn, wait);
  };
  addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-live][id]").forEach(follow));
}
