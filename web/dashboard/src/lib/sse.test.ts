import { describe, expect, test } from 'vitest'
import { messages, Parser } from './sse'

const text = [
  ':\n\n',
  'id: 7\nevent: rates\ndata: {"a":1}\n\n',
  'event:status\ndata:one\ndata: two\n\n',
  'id: 9\n\n',
  'retry: 10\nunknown\ndata\n\n',
  'data: cut off',
].join('')

const want = [
  { id: '7', event: 'rates', data: '{"a":1}' },
  { id: '7', event: 'status', data: 'one\ntwo' },
  { id: '9', event: 'message', data: '' },
]

describe('parser', () => {
  test('whole', () => expect(new Parser().push(text)).toEqual(want))

  test.each([1, 2, 3, 7])('in pieces of %d characters', (n) => {
    const parser = new Parser()
    const got = []
    for (let i = 0; i < text.length; i += n) got.push(...parser.push(text.slice(i, i + n)))
    expect(got).toEqual(want)
  })

  test('carriage returns', () => {
    expect(new Parser().push('data: x\r\n\r\n')).toEqual([{ id: '', event: 'message', data: 'x' }])
  })

  test('endless events are refused', () => {
    const parser = new Parser()
    expect(() => {
      for (let i = 0; i < 20; i++) parser.push('data: ' + 'x'.repeat(1 << 20) + '\n')
    }).toThrow('too long')
  })
})

test('a stream cut inside a letter and closed by its reader', async () => {
  const raw = new TextEncoder().encode('data: ä\n\ndata: b\n\n')
  let cancelled = false
  let heard = 0
  const body = new ReadableStream<Uint8Array>({
    start(c) {
      for (const byte of raw) c.enqueue(new Uint8Array([byte]))
    },
    cancel() {
      cancelled = true
    },
  })
  for await (const m of messages(body, () => heard++)) {
    expect(m.data).toBe('ä')
    break
  }
  expect(cancelled).toBe(true)
  expect(heard).toBeGreaterThan(8)
})
