// Tickets as people paste them. Pure.

/** Splits text into the tickets in it. Blanks and line breaks inside a ticket are taken out, as mail adds them. */
export function split(text: string): string[] {
  return text
    .replace(/^\s*\$?\s*cairn\s+get\s+/i, '') // a whole command works as well
    .split(/(?=cairn[0-9])/i)
    .map((t) => t.replace(/[\s>"'`,;]+/g, ''))
    .filter((t) => t !== '')
}

/** What is plainly wrong with pasted text, before the peer is asked; '' when nothing is. */
export function complaint(text: string): string {
  const parts = split(text)
  if (parts.length === 0) return ''
  const odd = parts.find((t) => !/^cairn[0-9]/i.test(t))
  if (odd !== undefined) return 'A ticket begins with “cairn1”. Paste the whole text that cairn share printed.'
  if (parts.length > 16) return 'At most 16 tickets at once.'
  return ''
}
