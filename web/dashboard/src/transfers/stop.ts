// Stopping a transfer, and what the user is told about it.
import type { Transfer } from '../lib/api'
import { live } from '../lib/live.svelte'
import * as peer from '../lib/peer'
import { toasts } from '../lib/toasts.svelte'

export function stopWords(t: Transfer): { title: string; text: string } {
  const text = {
    download: 'What has arrived is kept for a while: giving the ticket again goes on from there.',
    upload: 'The other side is cut off. It may try again as long as its ticket is open; revoke the ticket to prevent that.',
    import: 'Nothing of it gets into the library.',
  }
  return { title: `Stop ${t.name || 'this transfer'}?`, text: text[t.direction] }
}

export async function stop(t: Transfer): Promise<void> {
  try {
    live.put(await peer.cancel(t.id))
  } catch (err) {
    toasts.failed(`${t.name} was not stopped.`, err)
  }
}
