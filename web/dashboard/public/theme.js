// The chosen theme, before the first paint. Nothing but 'light' and 'dark' is ever stored here.
try {
  const theme = localStorage.getItem('cairn-theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {
  // Storage may be forbidden: then the system's theme is used.
}
