// The way of a file: into the library, to another peer, back to a disk.
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect } from './expect.mjs'
import { makeFile, same } from './files.mjs'
import { line } from './peer.mjs'

const MiB = 1 << 20

const row = (page, name) => page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) })

export const steps = [
  [
    'a chosen file is uploaded',
    async ({ page, dir }) => {
      makeFile(join(dir, 'in', 'holiday photos.zip'), 3 * MiB + 17)
      await page.goto('/library')
      await page.locator('#upload').setInputFiles(join(dir, 'in', 'holiday photos.zip'))
      await page.getByText('holiday photos.zip is in the library.').waitFor()
      await row(page, 'holiday photos.zip').getByText('3 MiB').waitFor()
    },
  ],
  [
    'a dropped file is uploaded, an empty one too',
    async ({ page }) => {
      await page.goto('/')
      await page.getByRole('navigation', { name: 'Pages' }).waitFor()
      await page.evaluate(() => {
        const data = new DataTransfer()
        data.items.add(new File(['dropped'], 'dropped <b>&.txt'))
        data.items.add(new File([], 'empty.txt'))
        for (const type of ['dragenter', 'dragover', 'drop']) {
          document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }))
        }
      })
      await row(page, 'dropped <b>&.txt').waitFor()
      await row(page, 'empty.txt').getByText('0 B', { exact: true }).waitFor()
      expect(new URL(page.url()).pathname).toBe('/library')
    },
  ],
  [
    'sharing gives a ticket, a copy of it and a QR code',
    async (t) => {
      const { page, browser } = t
      await page.goto('/library')
      await page.getByRole('button', { name: 'Share holiday photos.zip' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByLabel('Works for').selectOption('1 hour')
      await dialog.getByLabel('Ends after downloads').fill('2')
      await dialog.getByRole('button', { name: 'Make a ticket' }).click()
      t.ticket = (await dialog.locator('[data-ticket]').innerText()).trim()
      expect(t.ticket).toMatch(/^cairn1[a-z0-9]+$/)
      await dialog.getByText('0 of 2 downloads, ends in 1 h').first().waitFor()
      await dialog.getByRole('button', { name: 'Copy ticket' }).click()
      await dialog.getByText('Copied', { exact: true }).waitFor()
      expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(t.ticket)
      const qr = dialog.getByRole('img', { name: 'QR code of the ticket' })
      await qr.waitFor()
      expect((await qr.locator('path').getAttribute('d')).length).toBeAbove(1000)
      await browser.look(page, 'share', { window: true })
      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' })
    },
  ],
  [
    'another peer gets it, and the transfer and the count show it',
    async ({ page, peers, dir, ticket }) => {
      const out = join(dir, 'out.zip')
      await peers.run('second', ['get', ticket, '-o', out])
      await same(join(dir, 'in', 'holiday photos.zip'), out)
      await page.goto('/transfers')
      const ended = page.getByRole('list', { name: 'Ended transfers' }).getByRole('listitem').filter({ hasText: 'holiday photos.zip' })
      await ended.filter({ has: page.getByRole('img', { name: 'Upload to others' }) }).getByText('Done').waitFor()
      await page.goto('/library')
      await row(page, 'holiday photos.zip').getByRole('link').click()
      await page.getByText('1 of 2 downloads').first().waitFor()
    },
  ],
  [
    'a running transfer is live, with peers and progress, on its own page',
    async ({ page, browser, peers, peer, dir }) => {
      const big = makeFile(join(dir, 'in', 'big.bin'), 256 * MiB)
      const ticket = JSON.parse((await peers.run(peer.name, ['share', big, '--json'])).split('\n').at(-1)).ticket
      const text = typeof ticket === 'string' ? ticket : ticket.text
      await page.goto('/transfers')
      await page.getByRole('heading', { name: 'Transfers', level: 1 }).waitFor()
      // The other side is halted while it fetches, so that there is something to look at however fast it is.
      const get = peers.spawn('third', ['get', text, '-o', join(dir, 'big.out')])
      const ended = once(get, 'close')
      const link = page.getByRole('list', { name: 'Running transfers' }).getByRole('link', { name: 'big.bin' })
      const arrived = () => {
        const part = readdirSync(dir).find((n) => n.startsWith('.big.out'))
        return part === undefined ? 0 : (statSync(join(dir, part), { throwIfNoEntry: false })?.blocks ?? 0) * 512
      }
      while (arrived() < 80 * MiB && get.exitCode === null) await new Promise(setImmediate)
      get.kill('SIGSTOP')
      await link.waitFor()
      await page.getByText('to 1 peer').waitFor()
      await browser.look(page, 'transfers-running')
      const rail = page.getByRole('navigation', { name: 'Pages' })
      await rail.getByRole('link', { name: 'Overview', exact: true }).click()
      await page.getByText('Moving now').waitFor()
      await browser.look(page, 'overview-running')
      await rail.getByRole('link', { name: 'Transfers' }).click()
      await link.click()
      await page.getByRole('heading', { name: 'big.bin' }).waitFor()
      await page.getByRole('region', { name: 'Peers of this transfer' }).getByText('TCP').waitFor()
      await browser.look(page, 'transfer-running')
      get.kill('SIGCONT')
      const [code] = await ended
      if (code !== 0) throw new Error(`get ended with ${code}: ${get.said()}`)
      await page.getByText('Done', { exact: true }).waitFor()
      await page.getByText('100 %').first().waitFor()
      await same(big, join(dir, 'big.out'))
    },
  ],
  [
    'a download gives the same bytes',
    async ({ page, dir }) => {
      await page.goto('/library')
      for (const [name, bytes] of [['holiday photos.zip', null], ['empty.txt', ''], ['dropped <b>&.txt', 'dropped']]) {
        const coming = page.waitForEvent('download')
        await page.getByRole('button', { name: `Download ${name}` }).click()
        const path = join(dir, 'downloaded')
        const download = await coming
        await download.saveAs(path)
        if (bytes === null) {
          expect(download.suggestedFilename()).toBe(name)
          await same(join(dir, 'in', name), path)
        } else expect(readFileSync(path, 'utf8')).toBe(bytes)
      }
    },
  ],
  [
    'a directory can be walked through, by address and back',
    async ({ page, browser, peers, peer, dir }) => {
      makeFile(join(dir, 'in', 'photos', '2025', 'winter', 'one.jpg'), 5000)
      for (let i = 0; i < 300; i++) writeFileSync(join(dir, 'in', 'photos', `img-${i}.txt`), `picture ${i}`)
      await peers.run(peer.name, ['add', join(dir, 'in', 'photos')])
      await page.goto('/library')
      await row(page, 'photos').getByRole('link').click()
      await page.getByText('301 names').waitFor()
      await page.getByRole('link', { name: '2025' }).click()
      await page.getByRole('link', { name: 'winter' }).click()
      await page.getByText('one.jpg').waitFor()
      expect(new URL(page.url()).searchParams.get('path')).toBe('2025/winter')
      const coming = page.waitForEvent('download')
      await page.getByRole('button', { name: 'Download one.jpg' }).click()
      await (await coming).saveAs(join(dir, 'one.jpg'))
      await same(join(dir, 'in', 'photos', '2025', 'winter', 'one.jpg'), join(dir, 'one.jpg'))
      await page.reload()
      await page.getByText('one.jpg').waitFor()
      await page.goBack()
      await page.goBack()
      await page.getByText('301 names').waitFor()
      await browser.look(page, 'directory', { window: true })
    },
  ],
  [
    'a pasted ticket brings the object into the download folder',
    async ({ page, browser, peers, peer, dir }) => {
      const file = makeFile(join(dir, 'in', 'from another peer.bin'), 2 * MiB)
      const share = peers.spawn('other', ['share', file, '--json'])
      const said = await line(share, (v) => v.ticket, 'cairn share')
      const ticket = typeof said.ticket === 'string' ? said.ticket : said.ticket.text
      await page.goto('/transfers')
      await page.getByLabel('Ticket', { exact: true }).fill('no ticket')
      await page.getByText('A ticket begins with').waitFor()
      expect(await page.getByRole('button', { name: 'Get', exact: true }).isDisabled()).toBe(true)
      await page.getByLabel('Ticket', { exact: true }).fill(`cairn get ${ticket.slice(0, 50)}\n  ${ticket.slice(50)}`)
      await page.getByRole('button', { name: 'Get', exact: true }).click()
      await page.getByText('from another peer.bin is in the download folder').waitFor()
      await same(file, join(peer.home, 'downloads', 'from another peer.bin'))
      await peers.stop(share)
      await page.getByLabel('Ticket', { exact: true }).fill(ticket.slice(0, -9))
      await page.keyboard.press('Enter')
      await page.getByRole('alert').getByText('The object was not fetched.').waitFor()
      await browser.look(page, 'get-failed')
      await page.getByRole('button', { name: 'Forget it' }).click()
    },
  ],
  [
    'a ticket can be looked into before anything is fetched',
    async ({ page, browser, peers, dir }) => {
      makeFile(join(dir, 'in', 'looked', 'deep', 'one.bin'), 3000)
      writeFileSync(join(dir, 'in', 'looked', 'read me.txt'), 'words to be looked at')
      const share = peers.spawn('other', ['share', join(dir, 'in', 'looked'), '--json'])
      const said = await line(share, (v) => v.ticket, 'cairn share')
      await page.goto('/transfers')
      await page.getByLabel('Ticket', { exact: true }).fill(typeof said.ticket === 'string' ? said.ticket : said.ticket.text)
      await page.getByRole('button', { name: 'Look', exact: true }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('2 names').waitFor()
      await browser.look(page, 'look-directory', { window: true })
      await dialog.getByRole('button', { name: 'read me.txt' }).click()
      await dialog.getByText('words to be looked at').waitFor()
      await browser.look(page, 'look-text', { window: true })
      await dialog.getByRole('button', { name: 'All' }).click()
      await dialog.getByRole('button', { name: 'deep' }).click()
      await dialog.getByRole('button', { name: 'one.bin' }).click()
      await dialog.getByText('A browser cannot show this kind of file (2.9 KiB)').waitFor()
      await dialog.getByRole('button', { name: 'Close' }).click()
      await peers.stop(share)
    },
  ],
  [
    'a slow download shows its pieces as they come',
    async ({ page, browser, peers, dir }) => {
      const file = makeFile(join(dir, 'in', 'slow.bin'), 96 * MiB)
      const share = peers.spawn('other', ['share', file, '--json'])
      const said = await line(share, (v) => v.ticket, 'cairn share')
      await page.goto('/settings')
      await page.getByLabel('Down, to here').fill('8 MB/s')
      await page.getByRole('button', { name: 'Save limits' }).click()
      await page.getByText('down at most 8 MB/s').waitFor()
      await page.goto('/transfers')
      await page.getByLabel('Ticket', { exact: true }).fill(typeof said.ticket === 'string' ? said.ticket : said.ticket.text)
      await page.getByRole('button', { name: 'Get', exact: true }).click()
      await page.getByRole('list', { name: 'Running transfers' }).getByRole('link', { name: 'slow.bin' }).click()
      await page.getByText(/[1-9]\d* of \d+ leaves \([1-9]\d? %\): 100 % from A/).waitFor()
      await page.getByRole('img', { name: /^Who serves whom: 1 of 1 source gives/ }).waitFor()
      await browser.look(page, 'transfer-pieces')
      await page.getByRole('button', { name: 'Stop', exact: true }).click()
      await page.getByRole('button', { name: 'Stop it' }).click()
      await page.getByText('Stopped').first().waitFor()
      await page.goto('/settings')
      await page.getByLabel('Down, to here').fill('')
      await page.getByRole('button', { name: 'Save limits' }).click()
      await page.getByText('Now nothing is limited').waitFor()
      await peers.stop(share)
    },
  ],
  [
    'removing asks in words and can be undone, tickets included',
    async ({ page, browser }) => {
      await page.goto('/library')
      await page.getByRole('button', { name: 'Remove holiday photos.zip' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('Remove holiday photos.zip from this peer?').waitFor()
      await dialog.getByText('Its open ticket stops working.').waitFor()
      await browser.look(page, 'remove', { window: true })
      await dialog.getByRole('button', { name: 'Keep it' }).click()
      await page.getByRole('button', { name: 'Remove holiday photos.zip' }).click()
      await dialog.getByRole('button', { name: 'Remove it' }).click()
      await row(page, 'holiday photos.zip').waitFor({ state: 'detached' })
      await page.getByText('holiday photos.zip was removed.').waitFor()
      await page.getByRole('button', { name: 'Undo' }).click()
      await row(page, 'holiday photos.zip').getByText('1 open').waitFor()
    },
  ],
  [
    'a revoked ticket opens nothing any more',
    async ({ page, peers, dir, ticket }) => {
      await page.goto('/library')
      await row(page, 'holiday photos.zip').getByRole('link').click()
      await page.getByRole('button', { name: 'Revoke', exact: true }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Revoke it' }).click()
      await page.getByText('revoked after 1 download').waitFor()
      const out = join(dir, 'revoked.zip')
      const failed = await peers.run('second', ['get', ticket, '-o', out]).then(() => false, () => true)
      expect(failed).toBe(true)
      expect(existsSync(out)).toBe(false)
    },
  ],
  [
    'search finds by name, with the keyboard alone',
    async ({ page }) => {
      await page.goto('/network')
      await page.getByRole('heading', { name: 'Network', exact: true }).waitFor()
      await page.keyboard.press('/')
      await page.keyboard.type('OLIDAY')
      await page.getByRole('option').filter({ hasText: 'holiday photos.zip' }).first().waitFor()
      await page.keyboard.press('ArrowDown')
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'holiday photos.zip' }).waitFor()
      await page.keyboard.press('/')
      await page.keyboard.type('nothing like that')
      await page.keyboard.press('Enter')
      await page.getByText('has “nothing like that” in its name').waitFor()
    },
  ],
  [
    'the skip link and the rail work with the keyboard alone',
    async ({ page }) => {
      await page.goto('/')
      await page.getByText('since start').first().waitFor()
      await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
      expect(await page.evaluate(() => document.activeElement?.id)).toBe('main')
      await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Transfers' }).focus()
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'Transfers', level: 1 }).waitFor()
      const ring = await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Transfers' }).evaluate((a) => {
        a.focus()
        return getComputedStyle(a).outlineStyle
      })
      expect(ring).toBe('solid')
    },
  ],
]
