// Files on their way from this browser into the library, one after the other.
import type { AddResult } from './api'
import { ApiError, failureOf, noAnswer, secretHeader } from './client'
import { status } from './peer'
import { toasts } from './toasts.svelte'

export type UploadState = 'waiting' | 'sending' | 'storing' | 'done' | 'failed' | 'cancelled'

export class Upload {
  state = $state<UploadState>('waiting')
  sent = $state(0)
  bps = $state(0)
  error = $state.raw<ApiError | null>(null)
  entryID = $state('')
  request: XMLHttpRequest | null = null

  constructor(
    readonly id: number,
    readonly file: File,
  ) {}

  get busy(): boolean {
    return this.state === 'waiting' || this.state === 'sending' || this.state === 'storing'
  }
}

class Uploads {
  list = $state.raw<Upload[]>([])
  #last = 0
  #running = false

  get busy(): boolean {
    return this.list.some((u) => u.busy)
  }

  add(files: Iterable<File>): void {
    const fresh = [...files].map((f) => new Upload(++this.#last, f))
    if (fresh.length === 0) return
    this.list = [...this.list.filter((u) => u.busy || u.state === 'failed'), ...fresh]
    void this.#run()
  }

  cancel(u: Upload): void {
    if (!u.busy) return
    u.state = 'cancelled'
    u.request?.abort()
  }

  again(u: Upload): void {
    this.dismiss(u)
    this.add([u.file])
  }

  dismiss(u: Upload): void {
    this.list = this.list.filter((x) => x !== u)
  }

  async #run(): Promise<void> {
    if (this.#running) return
    this.#running = true
    addEventListener('beforeunload', stay)
    try {
      for (let u = this.#next(); u; u = this.#next()) {
        await send(u)
        if (u.error?.status === 401) {
          // Any other request makes sure that this page has a secret, or leads to the login page.
          await status().catch(() => undefined)
          await send(u)
        }
        if (u.state === 'done') {
          toasts.done(`${u.file.name} is in the library.`)
          this.dismiss(u)
        } else if (u.state === 'cancelled') this.dismiss(u)
      }
    } finally {
      this.#running = false
      removeEventListener('beforeunload', stay)
    }
  }

  #next(): Upload | undefined {
    return this.list.find((u) => u.state === 'waiting')
  }
}

const stay = (e: BeforeUnloadEvent): void => e.preventDefault()

/** Sends one file. It never throws; how it ended is in u. XMLHttpRequest, because fetch tells no progress. */
function send(u: Upload): Promise<void> {
  return new Promise((resolve) => {
    const x = new XMLHttpRequest()
    u.request = x
    u.state = 'sending'
    u.error = null
    u.sent = 0
    const started = performance.now()
    x.open('POST', `/v1/uploads?name=${encodeURIComponent(u.file.name)}`)
    for (const [k, v] of Object.entries(secretHeader())) x.setRequestHeader(k, v)
    x.setRequestHeader('Content-Type', 'application/octet-stream')
    x.upload.onprogress = (e) => {
      u.sent = e.loaded
      u.bps = (e.loaded / Math.max(1, performance.now() - started)) * 1000
    }
    x.upload.onload = () => {
      if (u.state === 'sending') u.state = 'storing'
    }
    x.onload = () => {
      if (x.status >= 200 && x.status < 300) {
        u.entryID = (JSON.parse(x.responseText) as AddResult).entry.id
        u.sent = u.file.size
        u.state = 'done'
      } else {
        u.error = failureOf(x.status, x.responseText)
        u.state = 'failed'
      }
    }
    x.onerror = () => {
      u.error = u.sent > 0 ? broken() : noAnswer()
      u.state = 'failed'
    }
    x.onloadend = () => {
      u.request = null
      resolve()
    }
    x.send(u.file)
  })
}

// The browser tells a page no more than this. A file that changed or vanished while it was read looks the same.
const broken = (): ApiError =>
  new ApiError(0, {
    code: 'unavailable',
    message: 'the upload broke off',
    hint: 'the peer may have stopped or run out of space, or the file changed meanwhile; try again',
  })

export const uploads = new Uploads()
