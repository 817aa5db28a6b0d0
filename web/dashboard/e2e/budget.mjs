// What the browser has to load.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect } from './expect.mjs'

const dist = fileURLToPath(new URL('../dist/', import.meta.url))

export const steps = [
  [
    'the JavaScript is below 200 kB',
    async (t) => {
      const names = readdirSync(dist, { recursive: true }).filter((n) => n.endsWith('.js'))
      const total = names.reduce((sum, n) => sum + gzipSync(readFileSync(join(dist, n))).length, 0)
      t.note(`${(total / 1000).toFixed(1)} kB of JavaScript, gzipped`)
      expect(total).toBeBelow(200_000)
    },
  ],
  [
    'the first paint is measured',
    async (t) => {
      await t.page.goto('/')
      await t.page.getByText('since start').first().waitFor()
      const ms = await t.page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0)
      t.note(`first paint after ${Math.round(ms)} ms`)
    },
  ],
]
