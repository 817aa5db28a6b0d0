// Files for the test to move, and their hashes.
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream, mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'

export function makeFile(path, size) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, randomBytes(size))
  return path
}

export async function sha256(path) {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

export async function same(a, b) {
  const [x, y] = await Promise.all([sha256(a), sha256(b)])
  if (x !== y) throw new Error(`${a} and ${b} differ`)
}
