// Logging in, going on, logging out.
import { expect } from './expect.mjs'

/** Before anybody is logged in. */
export const before = [
  [
    'without a session every address leads to the login page',
    async ({ page, browser }) => {
      await page.goto('/library?q=x')
      await page.getByRole('heading', { name: 'Log in to this peer' }).waitFor()
      await browser.look(page, 'login')
    },
  ],
  [
    'a wrong code is refused in words',
    async ({ page, browser }) => {
      browser.expected.push('status of 401')
      await page.getByLabel('Login code').fill('0000-0000-0000')
      await page.getByRole('button', { name: 'Log in' }).click()
      const alert = page.getByRole('alert')
      await alert.getByText('wrong, was used or has expired').waitFor()
      expect(await alert.innerText()).toContain('not_permitted')
      await browser.look(page, 'login-refused')
    },
  ],
  [
    'a login link opens the dashboard and leaves no trace of the code',
    async ({ page, peers, peer }) => {
      const { url, code } = await peers.login(peer)
      await page.goto('/settings') // another address: the link must work from anywhere
      await page.goto(url)
      await page.getByRole('link', { name: 'Overview' }).first().waitFor()
      await page.getByText(peer.id.slice(-6)).first().waitFor()
      expect(page.url()).toBe(peer.url + '/')
      const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie)
      expect(kept).toBe('{}')
      expect(await page.content()).notToContain(code)
    },
  ],
]

export const during = [
  [
    'a reload keeps the session, at any address',
    async ({ page }) => {
      await page.goto('/network')
      await page.reload()
      await page.getByRole('heading', { name: 'Network' }).waitFor()
      expect(new URL(page.url()).pathname).toBe('/network')
    },
  ],
  [
    'a second tab has the session too',
    async ({ context }) => {
      const tab = await context.newPage()
      await tab.goto('/transfers')
      await tab.getByRole('heading', { name: 'Transfers', level: 1 }).waitFor()
      await tab.close()
    },
  ],
  [
    'back and forward work, and an unknown address says so',
    async ({ page }) => {
      await page.goto('/')
      const rail = page.getByRole('navigation', { name: 'Pages' })
      for (const name of ['Library', 'Transfers', 'Settings']) await rail.getByRole('link', { name }).click()
      await page.getByRole('heading', { name: 'Settings' }).waitFor()
      await page.goBack()
      await page.goBack()
      await page.getByRole('heading', { name: 'Library', level: 1 }).waitFor()
      await page.goForward()
      await page.getByRole('heading', { name: 'Transfers', level: 1 }).waitFor()
      await page.goto('/no/such/page')
      await page.getByRole('heading', { name: 'There is no such page' }).waitFor()
    },
  ],
  [
    'a chosen theme is kept',
    async ({ page }) => {
      await page.goto('/settings')
      await page.getByRole('radio', { name: 'Dark' }).check()
      await page.reload()
      await page.getByRole('radio', { name: 'Dark' }).waitFor()
      expect(await page.evaluate(() => getComputedStyle(document.body).colorScheme)).toBe('dark')
      await page.getByRole('radio', { name: 'As the system' }).check()
    },
  ],
]

export const after = [
  [
    'a lost stream is said, greyed, and taken up again',
    async ({ page, peer }) => {
      await page.goto('/')
      await page.getByText('since start').first().waitFor()
      // A peer that is halted keeps its connections: only its silence tells.
      peer.child.kill('SIGSTOP')
      await page.getByText(/Connection lost since \d\d:\d\d:\d\d/).waitFor({ timeout: 40_000 })
      expect(await page.locator('.stale').count()).toBe(1)
      peer.child.kill('SIGCONT')
      await page.getByRole('button', { name: 'Try now' }).click()
      await page.getByText('Connection lost since').waitFor({ state: 'detached' })
      expect(await page.locator('.stale').count()).toBe(0)
    },
  ],
  [
    'logging out ends the session in every tab, and logging in begins it there',
    async ({ page, context, peers, peer }) => {
      const other = await context.newPage()
      await other.goto('/library')
      await other.getByRole('heading', { name: 'Library', level: 1 }).waitFor()
      await page.goto('/settings')
      await page.getByRole('button', { name: 'Log out' }).click()
      await page.getByText('You are logged out.').waitFor()
      await other.getByText('You logged out in another tab.').waitFor()
      await other.reload()
      await other.getByRole('heading', { name: 'Log in to this peer' }).waitFor()
      const { code } = await peers.login(peer)
      await page.getByLabel('Login code').fill(code.toLowerCase().replaceAll('-', ' '))
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'Settings' }).waitFor()
      await other.getByRole('heading', { name: 'Library', level: 1 }).waitFor()
      await other.close()
    },
  ],
  [
    'when the peer stops the page says so, and asks for a login when it runs again',
    async (t) => {
      const { page, browser, peers, peer } = t
      await page.goto('/')
      await page.getByText('since start').first().waitFor()
      browser.expected.push('ERR_CONNECTION_REFUSED', 'ERR_INCOMPLETE_CHUNKED_ENCODING')
      await peers.stop(peer.child)
      await page.getByText(/Connection lost since \d\d:\d\d:\d\d/).waitFor()
      await page.getByText('Not connected to the peer').waitFor()
      await browser.look(page, 'lost')
      t.peer = await peers.up(peer.name, new URL(peer.url).host)
      await page.getByRole('button', { name: 'Try now' }).click()
      await page.getByText('The session ended').waitFor()
    },
  ],
]
