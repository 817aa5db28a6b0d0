// Light, dark, or as the system has it. public/theme.js applies the choice before the first paint.
export const themes = ['system', 'light', 'dark'] as const
export type Theme = (typeof themes)[number]

const key = 'cairn-theme'

class ThemeState {
  #choice = $state<Theme>(stored())

  get choice(): Theme {
    return this.#choice
  }

  set choice(theme: Theme) {
    this.#choice = theme
    if (theme === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme
    try {
      if (theme === 'system') localStorage.removeItem(key)
      else localStorage.setItem(key, theme)
    } catch {
      // Storage may be forbidden: the choice lasts until the page is closed.
    }
  }

  next(): void {
    this.choice = themes[(themes.indexOf(this.#choice) + 1) % themes.length] ?? 'system'
  }
}

function stored(): Theme {
  const theme = document.documentElement.dataset.theme
  return theme === 'light' || theme === 'dark' ? theme : 'system'
}

export const theme = new ThemeState()
