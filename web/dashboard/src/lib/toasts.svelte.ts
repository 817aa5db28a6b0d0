// Short notes at the edge of the page, some with a way back.
import { asError } from './client'
import { sentence } from './format'

export interface Toast {
  id: number
  text: string
  detail: string
  kind: 'done' | 'failed'
  action?: { label: string; run: () => unknown }
}

class Toasts {
  list = $state.raw<Toast[]>([])
  #last = 0
  #timers = new Map<number, ReturnType<typeof setTimeout>>()

  /** Shows a note for ten seconds, or until it is closed. */
  done(text: string, action?: Toast['action']): void {
    this.#add({ id: ++this.#last, text, detail: '', kind: 'done', ...(action ? { action } : {}) })
  }

  failed(what: string, err: unknown): void {
    const e = asError(err)
    const detail = [sentence(e.message), e.hint && sentence(e.hint), `(${e.code})`].filter(Boolean).join('. ')
    this.#add({ id: ++this.#last, text: what, detail, kind: 'failed' })
  }

  close(id: number): void {
    clearTimeout(this.#timers.get(id))
    this.#timers.delete(id)
    this.list = this.list.filter((t) => t.id !== id)
  }

  /** While the pointer or the keyboard is on the notes they stay. */
  hold(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
  }

  release(): void {
    for (const t of this.list) this.#count(t)
  }

  #add(t: Toast): void {
    this.list = [...this.list.slice(-3), t]
    this.#count(t)
  }

  #count(t: Toast): void {
    clearTimeout(this.#timers.get(t.id))
    this.#timers.set(t.id, setTimeout(() => this.close(t.id), t.kind === 'failed' ? 20_000 : 10_000))
  }
}

export const toasts = new Toasts()
