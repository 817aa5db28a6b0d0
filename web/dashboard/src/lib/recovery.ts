// Recovery words, and the check that somebody keeps them. Pure: chance comes in as an argument.

export const wordsOf = (text: string): string[] => text.trim().split(/\s+/).filter(Boolean)

/** Which words to ask for, as places from 0: one of each third, in order. random gives numbers in [0, 1). */
export function places(total: number, random: () => number): number[] {
  if (total < 3) return Array.from({ length: total }, (_, i) => i)
  const edges = [0, Math.floor(total / 3), Math.floor((2 * total) / 3), total]
  return [0, 1, 2].map((i) => {
    const [from = 0, to = 0] = [edges[i], edges[i + 1]]
    return from + Math.floor(random() * (to - from))
  })
}

/** Whether a word was typed as it is; case and blanks do not matter. */
export const same = (typed: string, word: string | undefined): boolean => word !== undefined && typed.trim().toLowerCase() === word.toLowerCase()

/** The words as a text to keep: numbered, six to a line. */
export function printed(network: string, text: string): string {
  const lines: string[] = [`Recovery words of the Cairn network ${network}`, '']
  const words = wordsOf(text)
  for (let i = 0; i < words.length; i += 6) {
    lines.push(words.slice(i, i + 6).map((w, k) => `${i + k + 1}. ${w}`).join('   '))
  }
  return `${lines.join('\n')}\n`
}
