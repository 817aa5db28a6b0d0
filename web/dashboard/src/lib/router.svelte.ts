// Where the page is: the browser's history as state.
import { tick } from 'svelte'
import { parse, type Route } from './routes'

interface Mark {
  key: number
}

const places = new Map<number, number>() // key of a history entry -> how far it was scrolled
let last = Date.now()
const current = (): number => (history.state as Mark | null)?.key ?? 0

class Router {
  route = $state.raw<Route>(parse(location))
  #listening = false

  /** Begins to follow the browser's buttons and the links of the page. */
  start(): void {
    if (this.#listening) return
    this.#listening = true
    history.scrollRestoration = 'manual'
    if (history.state === null) history.replaceState({ key: ++last } satisfies Mark, '')
    addEventListener('scrollend', remember)
    addEventListener('popstate', () => {
      this.route = parse(location)
      void this.#back()
    })
    document.addEventListener('click', (e) => this.#click(e))
  }

  go(address: string, o: { replace?: boolean } = {}): void {
    const here = location.pathname + location.search
    if (address === here) return
    if (o.replace) {
      history.replaceState(history.state, '', address)
      this.route = parse(location)
      return
    }
    remember()
    history.pushState({ key: ++last } satisfies Mark, '', address)
    this.route = parse(location)
    scrollTo(0, 0)
    // Readers of the screen begin at the new page.
    void tick().then(() => document.getElementById('main')?.focus({ preventScroll: true }))
  }

  async #back(): Promise<void> {
    const y = places.get(current()) ?? 0
    await tick()
    scrollTo(0, y)
    requestAnimationFrame(() => scrollTo(0, y))
  }

  #click(e: MouseEvent): void {
    if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
    const a = (e.target as Element | null)?.closest('a')
    if (!a || a.origin !== location.origin || a.target !== '' || a.hasAttribute('download')) return
    if (a.pathname.startsWith('/v1/') || a.hash !== '') return
    e.preventDefault()
    this.go(a.pathname + a.search)
  }
}

function remember(): void {
  places.set(current(), scrollY)
}

export const router = new Router()
