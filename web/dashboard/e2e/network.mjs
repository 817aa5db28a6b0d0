// A network of two real peers: one is made in the browser, another machine joins by command, and is cut off in the browser.
import { expect } from './expect.mjs'

/** Makes a network on the page of t.peer, lets a second peer join, and revokes it again. */
export async function drive(t) {
  const { page, peers } = t
  await page.goto('/network')
  await page.getByLabel('Name of the network').fill('home')
  await page.getByRole('button', { name: 'Create the network' }).click()
  await keepWords(page)
  await page.getByRole('heading', { name: 'home', exact: true }).waitFor()

  await page.getByRole('button', { name: 'Invite', exact: true }).click()
  await page.getByRole('button', { name: 'Make the invite' }).click()
  await page.getByRole('img', { name: 'QR code of the invite' }).waitFor()
  const text = (await page.locator('[data-invite]').textContent()) ?? ''
  expect(text).toMatch(/^cairninvite1/)
  await page.getByRole('button', { name: 'Done' }).click()

  const other = await peers.up('second-member')
  await peers.run(other.name, ['join', text, '--name', 'den'])
  const row = page.getByRole('table', { name: 'Members' }).getByRole('row').filter({ hasText: 'den' })
  await row.getByText('connected').waitFor()
  await page.getByText('1 of 1 other member connected', { exact: true }).waitFor()
  await t.browser.look(page, 'network-real')

  await row.getByRole('link', { name: 'den' }).click()
  await page.getByRole('button', { name: 'Revoke' }).click()
  await page.getByRole('button', { name: 'Revoke it' }).click()
  await page.getByText('den is revoked').first().waitFor()
  await page.getByText('Revoked', { exact: true }).first().waitFor()
  await peers.stop(other.child)
}

/** Notes the recovery words on the page and shows that they are kept. */
export async function keepWords(page) {
  await page.getByRole('heading', { name: /^Keep these words/ }).waitFor()
  const words = await page.locator('.print-sheet li strong').allTextContents()
  expect(words.length).toBeAbove(11)
  await page.getByRole('button', { name: 'I have written them down' }).click()
  for (const field of await page.getByLabel(/^Word \d+$/).all()) {
    const label = await field.evaluate((input) => input.labels[0].textContent)
    await field.fill(words[Number(label.match(/\d+/)[0]) - 1])
  }
  await page.getByRole('button', { name: 'They are kept' }).click()
  await page.getByRole('heading', { name: /^Keep these words/ }).waitFor({ state: 'detached' })
  return words
}

export const steps = [['a network is made, joined from another machine, and a member cut off', drive]]
