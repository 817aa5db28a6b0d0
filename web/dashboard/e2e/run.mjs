// The dashboard in a real browser, against real peers, and against one whose transfers are plays. Environment: CAIRN_BIN is
// the binary to test, CAIRN_ONLY=plays leaves it out, CAIRN_ONLY=network everything but plays of networks, CAIRN_SHOTS a directory for pictures (none are taken without it),
// CAIRN_CHROMIUM a browser in an unusual place.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Browser } from './browser.mjs'
import * as budget from './budget.mjs'
import * as looks from './looks.mjs'
import { Peers } from './peer.mjs'
import * as members from './members.mjs'
import * as network from './network.mjs'
import * as plays from './plays.mjs'
import * as session from './session.mjs'
import * as sharing from './sharing.mjs'

const only = process.env.CAIRN_ONLY ?? ''
const onlyPlays = only === 'plays' || only === 'network'
const bin = process.env.CAIRN_BIN ?? ''
if (!bin && !onlyPlays) {
  console.error('CAIRN_BIN is not set: it names the cairn binary to test')
  process.exit(2)
}
// npm runs this in the folder of the dashboard; a relative path was meant from where npm was called.
const from = process.env.INIT_CWD ?? process.cwd()

const dir = mkdtempSync(join(tmpdir(), 'cairn-e2e-'))
const peers = new Peers(resolve(from, bin), dir)
const shots = process.env.CAIRN_SHOTS ? resolve(from, process.env.CAIRN_SHOTS) : ''
let browser
let failed = 0

const steps = [
  ...session.before,
  ...looks.empty,
  ...sharing.steps,
  ...network.steps,
  ...looks.full,
  ...session.during,
  ...budget.steps,
  ...session.after,
]

async function run(t, list) {
  for (const [name, step] of list) {
    const before = browser.complaints.length
    const start = Date.now()
    try {
      await step(t)
      const complaints = browser.complaints.slice(before)
      if (complaints.length > 0) throw new Error(complaints.join('\n'))
      console.log(`  ok    ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`)
    } catch (err) {
      failed++
      console.log(`  FAIL  ${name}\n${String(err?.stack ?? err).replace(/^/gm, '        ')}`)
      const seen = browser.complaints.slice(before)
      if (seen.length > 0) console.log(`        the page said: ${seen.join('\n        ')}`)
      if (shots) await t.page.screenshot({ path: join(shots, `failed-${failed}.png`) }).catch(() => undefined)
    }
  }
  return list.length
}

const note = (text) => console.log(`        ${text}`)

try {
  browser = await Browser.launch(shots)
  browser.expected.push('status of 404', 'status of 503') // so a peer answers for a part that it lacks; the page leaves the part out
  let ran = 0
  if (!onlyPlays) {
    const peer = await peers.up('first')
    const context = await browser.context(peer.url)
    ran += await run({ peers, peer, browser, context, dir, page: await context.newPage(), ticket: '', note }, steps)
    await context.close()
  }
  const stages = only === 'network' ? members.stages : [{ network: 'absent', steps: plays.steps }, ...members.stages]
  for (const { network: kind, steps: list } of stages) {
    const stage = await plays.open(dir, kind)
    if (stage === null) {
      note('no Go here: what needs the peer of plays is left out')
      break
    }
    peers.adopt(stage.child)
    const context = await browser.context(stage.url)
    ran += await run({ ...stage, peers, browser, context, page: await context.newPage(), note }, list)
    await context.close()
    await peers.stop(stage.child)
  }
  console.log(failed === 0 ? `all ${ran} steps hold` : `${failed} of ${ran} steps failed`)
} catch (err) {
  failed++
  console.error(err)
} finally {
  await browser?.close()
  await peers.stopAll()
  rmSync(dir, { recursive: true, force: true })
}
process.exit(failed === 0 ? 0 : 1)
