import { afterEach, expect, test, vi } from 'vitest'
import type { Entry, EntryPage } from './api'

vi.stubGlobal('document', { addEventListener: () => undefined, documentElement: { dataset: {} } })
const { EntryList } = await import('./library.svelte')

const entry = (n: number, name = `file ${n}`): Entry =>
  ({ id: `e${n}`, name, created: new Date(1e12 + n * 1000).toISOString(), tickets: [] }) as unknown as Entry
const ids = (l: InstanceType<typeof EntryList>): string[] => l.items.map((e) => e.id)

/** A peer with entries n-1 … 0, newest first, whose answers wait until they are let go. */
function peer(n: number): { letGo: () => Promise<void>; asked: string[] } {
  const waiting: (() => void)[] = []
  const asked: string[] = []
  vi.stubGlobal('fetch', async (path: string) => {
    asked.push(path)
    const q = new URL(path, 'http://x').searchParams
    const from = Number(q.get('cursor') ?? 0)
    const to = Math.min(n, from + Number(q.get('limit')))
    const entries = Array.from({ length: to - from }, (_, i) => entry(n - 1 - from - i))
    const page: EntryPage = { entries, total: n, ...(to < n ? { next: String(to) } : {}) }
    await new Promise<void>((resolve) => waiting.push(resolve))
    return Response.json(page)
  })
  const letGo = async (): Promise<void> => {
    while (waiting.length > 0) {
      for (const go of waiting.splice(0)) go()
      await vi.waitFor(() => undefined)
      await new Promise((resolve) => setTimeout(resolve))
    }
  }
  return { letGo, asked }
}

afterEach(() => vi.unstubAllGlobals())

test('pages are fetched as far as they are wanted', async () => {
  const p = peer(2500)
  const l = new EntryList()
  const first = l.search('')
  await p.letGo()
  await first
  expect([l.items.length, l.total, l.ready]).toEqual([200, 2500, true])
  const more = l.want(1900)
  await p.letGo()
  await more
  expect(l.items.length).toBeGreaterThanOrEqual(1900)
  expect(new Set(ids(l)).size).toBe(l.items.length)
  expect(p.asked).toHaveLength(3)
})

test('a change that comes while the list is fetched is not lost', async () => {
  const p = peer(3)
  const l = new EntryList()
  const search = l.search('')
  l.changed(entry(3, 'new'))
  l.removed('e0')
  await p.letGo()
  await search
  expect(ids(l)).toEqual(['e3', 'e2', 'e1'])
  expect(l.total).toBe(3)
})

test('changes', async () => {
  const p = peer(300)
  const l = new EntryList()
  const search = l.search('')
  await p.letGo()
  await search
  l.changed(entry(299, 'renamed'))
  expect([l.items[0]?.name, l.total]).toEqual(['renamed', 300])
  l.changed(entry(5)) // on a later page
  expect([l.items.length, l.total]).toEqual([200, 300])
  l.removed('e299')
  l.removed('e299')
  expect([ids(l)[0], l.total]).toEqual(['e298', 299])
  l.changed(entry(299)) // undone
  expect([ids(l)[0], l.total]).toEqual(['e299', 300])
})

test('a list of a search takes only what fits', async () => {
  const p = peer(2)
  const l = new EntryList()
  const search = l.search('FILE')
  await p.letGo()
  await search
  l.changed(entry(9, 'other'))
  l.changed(entry(8, 'my File'))
  expect(ids(l)).toEqual(['e8', 'e1', 'e0'])
})
