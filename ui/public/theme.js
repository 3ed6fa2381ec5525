// Puts the chosen theme on the page before it is painted; without a choice the system's preference holds.
try {
  const theme = localStorage.getItem('onsite.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // storage is closed to us: the system's preference holds
}
