// Times are shown in the reader's zone; the UTC that the server wrote stays as the title. Days are left alone.
{
  const format = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
  });
  document.addEventListener("fresh", ({ target }) => {
    for (const time of target.querySelectorAll("time[datetime*=T]:not([title])")) {
      const moment = new Date(time.dateTime);
      if (isNaN(moment)) continue;
      time.title = time.textContent;
      time.textContent = format.format(moment);
    }
  });
}
