// Server-sent events read from a fetch (WHATWG HTML, section 9.2): EventSource cannot send a header. Pure but for
// the stream that is handed in.

export interface Message {
  id: string
  event: string
  data: string
}

/** More text than this in one event is an error of the other side. */
const maxEvent = 16 << 20

/** Takes text as it comes and gives out whole events. */
export class Parser {
  #rest = ''
  #id = ''
  #event = ''
  #data: string[] = []
  #size = 0

  push(text: string): Message[] {
    const out: Message[] = []
    this.#rest += text
    let from = 0
    for (;;) {
      const end = this.#rest.indexOf('\n', from)
      if (end < 0) break
      const line = this.#rest.slice(from, end)
      from = end + 1
      const message = this.#line(line.endsWith('\r') ? line.slice(0, -1) : line)
      if (message !== null) out.push(message)
    }
    this.#rest = this.#rest.slice(from)
    if (this.#rest.length + this.#size > maxEvent) throw new Error('an event of the stream is too long')
    return out
  }

  #line(line: string): Message | null {
    if (line === '') {
      const message = { id: this.#id, event: this.#event || 'message', data: this.#data.join('\n') }
      const any = this.#data.length > 0
      this.#event = ''
      this.#data = []
      this.#size = 0
      return any ? message : null
    }
    const colon = line.indexOf(':')
    if (colon === 0) return null
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1))
    switch (field) {
      case 'event':
        this.#event = value
        break
      case 'data':
        this.#data.push(value)
        this.#size += value.length
        break
      case 'id':
        if (!value.includes('\0')) this.#id = value
        break
    }
    return null
  }
}

/** Reads events until the stream ends or breaks. heard is called for every piece of text, comments included. */
export async function* messages(body: ReadableStream<Uint8Array>, heard?: () => void): AsyncGenerator<Message> {
  const parser = new Parser()
  const decoder = new TextDecoder()
  const reader = body.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      heard?.()
      yield* parser.push(decoder.decode(value, { stream: true }))
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}
