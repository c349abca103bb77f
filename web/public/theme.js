// Runs before the first paint, so that a chosen theme never flashes. A file, because the content policy allows no inline script.
try {
  const theme = localStorage.getItem("psyche.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's theme applies.
}
