// What can be done with an entry from any page, and what the user is told about it.
import type { Entry } from '../lib/api'
import * as peer from '../lib/peer'
import { library } from '../lib/library.svelte'
import { toasts } from '../lib/toasts.svelte'

/** Removes an entry and offers to undo that. False when it failed. */
export async function remove(e: Entry): Promise<boolean> {
  try {
    await peer.remove(e.id)
  } catch (err) {
    toasts.failed(`${e.name} was not removed.`, err)
    return false
  }
  library.removed(e.id)
  toasts.done(`${e.name} was removed.`, { label: 'Undo', run: () => restore(e) })
  return true
}

export async function restore(e: Entry): Promise<boolean> {
  try {
    library.changed(await peer.restore(e.id))
    toasts.done(`${e.name} is back, with its tickets.`)
    return true
  } catch (err) {
    toasts.failed(`${e.name} did not come back.`, err)
    return false
  }
}

/** Downloads one file: the entry itself, or the file at path below it. */
export async function download(e: Entry, path = '', size = e.size): Promise<void> {
  const name = path === '' ? e.name : (path.split('/').at(-1) ?? path)
  try {
    await peer.download(e.id, path, size)
  } catch (err) {
    toasts.failed(`${name} was not downloaded.`, err)
  }
}
