// What can be seen of swarms, on a peer whose transfers are plays (web/internal/fakepeer): pieces, rates, who serves
// whom, limits.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from './expect.mjs'
import { line } from './peer.mjs'

const source = fileURLToPath(new URL('../../internal/fakepeer/serve', import.meta.url))

/** Builds the peer when it is not there yet, and starts it; null without Go. network: what it is in, see the flag. */
export async function open(dir, network = 'absent') {
  const bin = join(dir, 'plays')
  try {
    if (existsSync(bin)) return await start(bin, network)
    execFileSync('go', ['build', '-o', bin, '.'], { cwd: source, stdio: ['ignore', 'ignore', 'inherit'] })
  } catch (err) {
    if (err.code === 'ENOENT') return null
    throw err
  }
  return await start(bin, network)
}

async function start(bin, network) {
  const child = spawn(bin, ['-network', network], { stdio: ['pipe', 'pipe', 'pipe'] })
  const ready = await line(child, (v) => v.event === 'ready', 'the peer of plays')
  return { child, url: ready.http, login: ready.login }
}

/** The colours of a canvas, each with its number of pixels, and a text that changes with the picture. */
const painted = (page) =>
  page.locator('canvas[data-cells]').evaluate((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    const colours = {}
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] === 0) continue
      const key = `${data[i]},${data[i + 1]},${data[i + 2]}`
      colours[key] = (colours[key] ?? 0) + 1
    }
    return { colours: Object.values(colours).filter((n) => n > 20).length, print: JSON.stringify(colours) }
  })

/** Waits until f says true of what is painted. */
async function until(page, f) {
  for (let i = 0; i < 60; i++) {
    if (f(await painted(page))) return
    await page.waitForTimeout(100)
  }
  throw new Error(`the picture is not as expected: ${JSON.stringify(await painted(page)).slice(0, 300)}`)
}

/** Counts the requests for a path from now on. */
function counting(page, part) {
  const seen = { n: 0 }
  page.on('request', (r) => r.url().includes(part) && seen.n++)
  return seen
}

export const steps = [
  [
    'a transfer shows its pieces and who gave them',
    async ({ page, browser, url, login }) => {
      browser.expected.push('willReadFrequently') // of looking at pixels here
      await page.goto(login)
      await page.getByText('since start').first().waitFor()
      await page.goto(`${url}/transfers/swarm`)
      await page.getByText(/\d of 3,000 leaves \(\d+ %\): /).waitFor()
      await until(page, (p) => p.colours >= 6) // nothing, an earlier attempt, four givers
      const legend = page.getByRole('list', { name: 'What the colours mean' })
      for (const text of ['A', 'B', 'D', 'earlier attempt', 'asked for now']) await legend.getByText(text, { exact: true }).waitFor()
      await browser.look(page, 'pieces')
    },
  ],
  [
    'the map fills as pieces come',
    async ({ page }) => {
      const before = await painted(page)
      await until(page, (p) => p.print !== before.print)
    },
  ],
  [
    'the keyboard walks through the map, and hearing it is enough',
    async ({ page }) => {
      const map = page.getByRole('slider', { name: /^Pieces: / })
      await map.focus()
      expect(await map.getAttribute('aria-valuetext')).toMatch(/^Leaf 0: /)
      await page.keyboard.press('ArrowRight')
      expect(await map.getAttribute('aria-valuetext')).toMatch(/^Leaf 1: /)
      await page.keyboard.press('End')
      expect(await map.getAttribute('aria-valuetext')).toMatch(/^Leaf 2,999: (not here yet|here, from)/)
      await map.blur()
    },
  ],
  [
    'the table says what the picture shows, and why a peer was dropped',
    async ({ page }) => {
      await page.getByRole('img', { name: /^Who serves whom: 3 of 4 sources give .*; 2 of 2 downloaders take / }).waitFor()
      const rows = page.getByRole('region', { name: 'Peers of this transfer' }).getByRole('row')
      expect(await rows.count()).toBe(7)
      await rows.getByText('It sent bytes that do not belong to leaf 411').waitFor()
      await rows.getByText('QUIC: TCP did not answer').waitFor()
      await page.setViewportSize({ width: 360, height: 740 })
      expect(await rows.count()).toBe(7) // still a table for those who hear it
      await page.setViewportSize({ width: 1280, height: 800 })
    },
  ],
  [
    'rates have a chart for every peer and a window',
    async ({ page }) => {
      await page.getByRole('img', { name: /^From peer A, last 1 min: at most \d/ }).waitFor()
      await page.getByRole('img', { name: /^To peer B, / }).waitFor()
      const seen = counting(page, 'window=1h')
      await page.getByRole('button', { name: '1 h', exact: true }).click()
      await page.getByRole('img', { name: /^From peer A, last 1 h: at most \d/ }).waitFor()
      expect(seen.n).toBeAbove(0)
      await page.getByRole('button', { name: '1 day', exact: true }).click()
      await page.getByRole('img', { name: /^From peer A, last 1 day: / }).waitFor()
      await page.getByRole('button', { name: '1 min', exact: true }).click()
    },
  ],
  [
    'a map that is old says so, and goes on when it can',
    async ({ page, browser }) => {
      browser.expected.push('ERR_FAILED')
      await page.route('**/pieces', (r) => r.abort())
      await page.getByText(/^as of \d\d:\d\d:\d\d$/).waitFor()
      await page.unroute('**/pieces')
      await page.getByText(/^as of \d\d:\d\d:\d\d$/).waitFor({ state: 'detached' })
    },
  ],
  [
    'nothing is asked for after the end',
    async ({ page, url }) => {
      await page.goto(`${url}/transfers/done`)
      await page.getByText('180 of 180 leaves (100 %)').waitFor()
      await page.getByRole('img', { name: /^From peer A, / }).waitFor()
      const seen = counting(page, '/v1/transfers/done/')
      await page.waitForTimeout(2500)
      expect(seen.n).toBe(0)
    },
  ],
  [
    'one leaf, a million, none yet, failed, an upload',
    async ({ page, browser, url }) => {
      for (const [id, text] of [
        ['one', '0 of 1 leaf'],
        ['large', 'of 1,000,000 leaves'],
        ['waiting', 'The map appears when'],
        ['failed', 'No source is left'],
        ['upload', 'takes'],
      ]) {
        await page.goto(`${url}/transfers/${id}`)
        await page.getByText(text).first().waitFor()
        await page.locator('.skeleton').first().waitFor({ state: 'detached' })
        if (id === 'large') {
          const cells = Number(await page.locator('canvas[data-cells]').getAttribute('data-cells'))
          expect(cells).toBeAbove(500)
          expect(cells).toBeBelow(10_000)
        }
        await browser.look(page, `transfer-${id}`)
      }
    },
  ],
  [
    'limits are set in plain words, and can be undone',
    async ({ page, browser, url }) => {
      await page.goto(`${url}/settings`)
      await page.getByText('Now nothing is limited').waitFor()
      await page.getByLabel('Up, to others').fill('2')
      await page.getByRole('button', { name: 'Add hours' }).click()
      await page.getByRole('group', { name: 'Hours 1' }).getByLabel('Down').fill('16 Mbit/s')
      await page.getByRole('button', { name: 'Save limits' }).click()
      await page.getByText('Add a unit: 2 MB/s?').waitFor()
      await browser.look(page, 'limits-wrong')
      await page.getByLabel('Up, to others').fill('2 MB/s')
      await page.getByRole('button', { name: 'Save limits' }).click()
      await page.getByText('Now up at most 2 MB/s, down not limited.').waitFor()
      await browser.look(page, 'limits')
      await page.getByRole('button', { name: 'Undo' }).click()
      await page.getByText('Now nothing is limited').waitFor()
      expect(await page.getByRole('group', { name: 'Hours 1' }).count()).toBe(0)
    },
  ],
]
