// Every page, empty and full, in both sizes and both themes.

// A page may have many skeletons, and each leaves when its part has come.
const loaded = (page) => page.locator(':root:not(:has(.skeleton))').waitFor({ state: 'attached' })

async function pages(t, kind, list) {
  for (const [name, address, text] of list) {
    await t.page.goto(address)
    await t.page.getByText(text).first().waitFor()
    await loaded(t.page)
    await t.browser.look(t.page, `${name}-${kind}`)
  }
}

export const empty = [
  [
    'empty pages teach',
    async (t) => {
      t.browser.expected.push('status of 404')
      await pages(t, 'empty', [
        ['overview', '/', 'cairn share FILE'],
        ['library', '/library', 'cairn get TICKET'],
        ['transfers', '/transfers', 'Nothing is moving'],
        ['network', '/network', 'No peer is connected'],
        ['settings', '/settings', 'Limits in force'],
        ['entry', '/library/none', 'There is no such entry'],
        ['transfer', '/transfers/none', 'There is no such transfer'],
      ])
    },
  ],
]

export const full = [
  [
    'full pages',
    async (t) => {
      await pages(t, 'full', [
        ['overview', '/', 'Newest in the library'],
        ['library', '/library', 'holiday photos.zip'],
        ['transfers', '/transfers', 'Ended'],
        ['peer', `/network/${t.peer.id}`, 'Not connected now'],
      ])
      await t.page.goto('/library')
      await t.page.getByRole('link', { name: 'holiday photos.zip' }).click()
      await t.page.getByRole('heading', { name: 'Tickets' }).waitFor()
      await t.browser.look(t.page, 'entry-full')
    },
  ],
]
