// Runs before the first paint: the look that was chosen in this browser, and what only works with
// script becomes visible.
(() => {
  const root = document.documentElement;
  root.classList.add('script');
  try {
    const theme = localStorage.getItem('theme');
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  } catch { /* storage is switched off: the system decides */ }
})();
