// The browser of the test, and the watch it keeps: policy violations, requests to others, errors of the page.
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export const sizes = { wide: { width: 1280, height: 800 }, narrow: { width: 360, height: 740 } }

export function findChromium() {
  const known = [process.env.CAIRN_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
  const found = known.find((p) => p && existsSync(p))
  if (!found) throw new Error('no chromium here: install it, or name it in CAIRN_CHROMIUM')
  return found
}

export class Browser {
  complaints = []
  expected = [] // texts of console messages that a step provokes on purpose
  #browser
  #shots

  static async launch(shots) {
    const b = new Browser()
    b.#browser = await chromium.launch({ executablePath: findChromium(), args: flags, headless: true })
    b.#shots = shots
    if (shots) mkdirSync(shots, { recursive: true })
    return b
  }

  close() {
    return this.#browser.close()
  }

  /** A browser profile that talks to one peer only. */
  async context(base) {
    const c = await this.#browser.newContext({
      baseURL: base,
      viewport: sizes.wide,
      acceptDownloads: true,
      permissions: ['clipboard-read', 'clipboard-write'],
      reducedMotion: 'reduce',
    })
    c.setDefaultTimeout(15_000)
    await c.addInitScript(() => {
      addEventListener('securitypolicyviolation', (e) => console.error(`policy: ${e.violatedDirective} blocked ${e.blockedURI} ${e.sample}`))
    })
    c.on('request', (r) => {
      if (!r.url().startsWith(base + '/')) this.complaints.push(`request to another host: ${r.url()}`)
    })
    c.on('page', (page) => {
      page.on('pageerror', (e) => this.complaints.push(`error on ${page.url()}: ${e.message}`))
      page.on('console', (m) => {
        const text = m.text()
        if (m.type() !== 'error' && m.type() !== 'warning') return
        if (this.expected.some((x) => text.includes(x))) return
        this.complaints.push(`console on ${page.url()}: ${text}`)
      })
    })
    return c
  }

  /**
   * Looks at a page in both sizes and both themes: nothing sticks out, axe finds nothing serious, pictures.
   * o.window: pictures of the window alone. o.axe false: axe saw the same parts elsewhere.
   */
  async look(page, name, o = {}) {
    const problems = []
    for (const [size, viewport] of Object.entries(sizes)) {
      await page.setViewportSize(viewport)
      for (const scheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' })
        const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
        if (over > 0) problems.push(`${name} is ${over} px wider than the window of ${viewport.width}`)
        if (this.#shots) {
          await page.screenshot({ path: join(this.#shots, `${name}-${viewport.width}-${scheme}.png`), fullPage: !o.window })
        }
        if (o.axe !== false) problems.push(...(await this.#axe(page, `${name}, ${size}, ${scheme}`)))
      }
    }
    await page.setViewportSize(sizes.wide)
    await page.emulateMedia({ colorScheme: null, reducedMotion: 'reduce' })
    if (problems.length > 0) throw new Error(problems.join('\n'))
  }

  async #axe(page, where) {
    await page.evaluate(axe)
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
    return violations
      .filter((v) => v.impact === 'serious' || v.impact === 'critical')
      .map((v) => `axe on ${where}: ${v.id} (${v.impact}): ${v.nodes.map((n) => `${n.target} ${n.any[0]?.message ?? ''}`).join('; ')}`)
  }
}
