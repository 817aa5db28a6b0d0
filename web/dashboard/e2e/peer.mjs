// Real peers, as processes, for the browser test.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** Peers and commands of one test run. Everything lives in dir; nothing of the user's own is touched. */
export class Peers {
  #bin
  #dir
  #running = new Set()

  constructor(bin, dir) {
    this.#bin = bin
    this.#dir = dir
  }

  home(name) {
    return join(this.#dir, name)
  }

  /** Starts `cairn up` and waits until it is ready. */
  async up(name, http = '127.0.0.1:0') {
    const child = this.spawn(name, ['up', '--http', http, '--listen', '/ip4/127.0.0.1/tcp/0', '--json'])
    const ready = await line(child, (v) => v.event === 'ready', `cairn up of ${name}`)
    return { name, child, url: ready.http, id: ready.peer_id, home: this.home(name) }
  }

  /** A login code of a running peer: { code, url }. */
  async login(peer) {
    return JSON.parse(await this.run(peer.name, ['login', '--json']))
  }

  /** Runs a command to its end and returns its stdout. */
  async run(name, args) {
    const child = this.spawn(name, args)
    let out = ''
    child.stdout.on('data', (d) => (out += d))
    const [code] = await once(child, 'close')
    if (code !== 0) throw new Error(`cairn ${args[0]} ended with ${code}: ${child.said()}`)
    return out.trim()
  }

  spawn(name, args) {
    mkdirSync(this.#dir, { recursive: true })
    const env = { PATH: process.env.PATH, HOME: this.#dir, XDG_DATA_HOME: this.#dir, TMPDIR: this.#dir }
    const child = spawn(this.#bin, [...args, '--home', this.home(name)], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    return this.adopt(child)
  }

  /** Ends a process with the others, and keeps what it says of failures. */
  adopt(child) {
    let said = ''
    child.stderr.on('data', (d) => (said = (said + d).slice(-4000)))
    child.said = () => said
    this.#running.add(child)
    child.once('close', () => this.#running.delete(child))
    return child
  }

  async stop(child, signal = 'SIGTERM') {
    if (child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'close')
    child.kill(signal)
    await closed
  }

  async stopAll() {
    for (const child of [...this.#running]) {
      child.kill('SIGCONT') // one may have been halted by a step that failed
      await this.stop(child, 'SIGKILL')
    }
  }
}

/** The first line of JSON on a child's stdout that fits. */
export async function line(child, fits, what) {
  const lines = createInterface({ input: child.stdout })
  for await (const text of lines) {
    try {
      const value = JSON.parse(text)
      if (fits(value)) return value
    } catch {
      // Not JSON: not what is waited for.
    }
  }
  throw new Error(`${what} ended before it said what was expected: ${child.said()}`)
}
